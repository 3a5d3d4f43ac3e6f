/* A program that needs libversion.so, and with -DVERSION that library: which one the loader has
 * found, and what the program sees of LD_LIBRARY_PATH. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef VERSION
const char *version(void) {
    return VERSION;
}
#else
const char *version(void);
extern char **environ;

int main(int count, char **arguments) {
    const char *path = getenv("LD_LIBRARY_PATH");
    printf("%s %s LD_LIBRARY_PATH=%s\n", arguments[0], version(), path == NULL ? "(none)" : path);
    for (char **text = environ; *text != NULL; text++)
        if (strstr(*text, "LD_LIBRARY_PATH") != NULL)
            puts(*text);
    void *other = dlopen("libother.so", RTLD_NOW);
    printf("libother.so %s\n", other == NULL ? "not found" : "found");
    fflush(stdout);
    if (count > 1)
        return system(arguments[1]);
    return 0;
}
#endif
