/* A library that says which version of it was loaded, and from where, as the loader knows it.
 * Built as libdependency.so, in two versions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#ifndef VERSION
#define VERSION "first"
#endif

static const char *file(void *address) {
    Dl_info info;
    return dladdr(address, &info) ? info.dli_fname : "?";
}

const char *dependency(void) {
    static char text[8192];
    snprintf(text, sizeof text, "%s from %s", VERSION, file((void *)dependency));
    return text;
}

/* While the library is still being loaded. */
__attribute__((constructor)) static void load(void) {
    printf("  constructor of %s\n", file((void *)load));
}
