/* A library that says where it was loaded from. Built as libdependency.so, in two versions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#ifndef VERSION
#define VERSION "first"
#endif

const char *dependency(void) {
    static char text[8192];
    Dl_info info;
    int known = dladdr((void *)dependency, &info);
    snprintf(text, sizeof text, "%s from %s", VERSION, known ? info.dli_fname : "?");
    return text;
}
