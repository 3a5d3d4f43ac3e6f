/* A preload of somebody else: says that it was loaded. */
#include <unistd.h>

__attribute__((constructor)) static void start(void) {
    write(2, "marker is here\n", 15);
}
