/* A plug-in that needs libdependency.so by its own RUNPATH, and opens more by name. -DMARK makes
 * another file of it, -DLONELY one that cannot be loaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#ifdef MARK
const char mark[] = MARK;
#endif

const char *dependency(void);

const char *plugin(void) {
    return dependency();
}

#ifdef LONELY
int nowhere(void);
int lonely(void) {
    return nowhere();
}
#endif

/* dlopen by name from here must look along this library's RUNPATH, not the program's. */
const char *by_name(const char *name) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return dlerror();
    const char *(*function)(void) = (const char *(*)(void))dlsym(library, "dependency");
    return function == NULL ? "no symbol" : function();
}
