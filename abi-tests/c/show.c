/* Says how it was started and what it sees: the program that the exec tests run.
 * Also built as a served program with libraries beside it (-DWITH_LIBRARY), and without a word about
 * descriptors (-DWITHOUT_DESCRIPTORS), which others may have left open. */
#include "probe.h"
#include <link.h>

#ifdef WITH_LIBRARY
const char *dependency(void);
#endif

int main(int argc, char **argv) {
    char buffer[PATH_MAX + 1] = "";
    struct stat s;
    for (int at = 0; at < argc; at++) {
        printf("argument ");
        print_text(argv[at]);
        putchar('\n');
    }
    TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
    ssize_t length = readlink("/proc/self/exe", buffer, PATH_MAX);
    buffer[length < 0 ? 0 : length] = 0;
    printf("exe %s\n", buffer);
    STAT("stat of exe", "/proc/self/exe", stat("/proc/self/exe", &s));
    CALL("stat near", "near", stat("near", &s));
    printf("MARK=%s LD_PRELOAD in argv only: %s\n", getenv("MARK"), argc > 1 ? argv[1] : "");
#ifndef WITHOUT_DESCRIPTORS
    for (int fd = 0; fd < 12; fd++)
        if (fcntl(fd, F_GETFD) != -1 && fstat(fd, &s) == 0)
            printf("fd %d %o\n", fd, s.st_mode & S_IFMT);
#endif
    char byte[8] = "";
    printf("input %zd %.3s\n", read(0, byte, 3), byte);
#ifdef WITH_LIBRARY
    printf("library %s\n", dependency());
#endif
    return 7;
}
