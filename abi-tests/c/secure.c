/* What a program with the set-user-ID bit has left of what it was started with. Usage: secure P */
#include "probe.h"
#include <sys/auxv.h>

extern char **environ;

int main(int argc, char **argv) {
    struct stat s;
    begin(argc, argv);
    printf("euid %d secure %lu\n", geteuid() == getuid(), getauxval(AT_SECURE));
    printf("stat /etc/hostname: %d\n", stat("/etc/hostname", &s));
    for (char **variable = environ; *variable != NULL; variable++)
        if (strncmp(*variable, "LD_", 3) == 0)
            printf("%s\n", *variable);
    return 0;
}
