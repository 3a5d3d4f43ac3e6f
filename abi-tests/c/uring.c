/* Whether io_uring, which would pass every hook by, is to be had. Prints served or plain. */
#include "probe.h"

int main(int argc, char **argv) {
    char params[120] = {0};
    errno = 0;
    long fd = syscall(425, 4, params);
    printf("%s\n", fd >= 0 ? "a ring" : error_name(errno));
    return 0;
}
