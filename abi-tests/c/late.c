/* A program that starts without libdl, and (-DMODULE) a converter that brings it along and loads more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <iconv.h>
#include <stdio.h>

#ifdef MODULE
int gconv(void) {
    return 0;
}

int gconv_init(void) {
    return 0;
}

__attribute__((constructor)) static void load(void) {
    Dl_info info;
    int known = dladdr((void *)load, &info);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    printf("dladdr %s, dlopen %d\n", known ? info.dli_fname : "nothing", library != NULL);
    library = dlopen("/nowhere/x", RTLD_NOW);
    printf("dlopen %d: %s\n", library != NULL, dlerror());
}
#else
int main(void) {
    printf("iconv_open %d\n", iconv_open("LATE", "UTF-8") != (iconv_t)-1);
    return 0;
}
#endif
