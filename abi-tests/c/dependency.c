/* A library that says which version of it was loaded. Built as libdependency.so, in two versions.
 * PROBE_LIMITS=1: and from where, as the loader knows it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef VERSION
#define VERSION "first"
#endif

const char *dependency(void) {
    static char text[8192];
    Dl_info info;
    int known = dladdr((void *)dependency, &info);
    if (getenv("PROBE_LIMITS") == NULL)
        return known ? VERSION : "no " VERSION;
    snprintf(text, sizeof text, "%s from %s", VERSION, known ? info.dli_fname : "?");
    return text;
}
