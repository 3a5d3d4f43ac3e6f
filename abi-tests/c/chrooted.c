/* What is served after the process changed its root. Must start as root. Usage: chrooted P outside */
#include "probe.h"

static void look(const char *what) {
    char buffer[PATH_MAX];
    printf("-- %s\n", what);
    STAT("stat", "plain.txt", stat(at("plain.txt"), &s));
    OPEN("open", "plain.txt", open(at("plain.txt"), O_RDONLY));
    OPEN("open", "/file", open("/file", O_RDONLY));
    CALL("access", "dir", access(at("dir"), R_OK));
    CALL("chdir", "dir", chdir(at("dir")));
    TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
    CALL("opendir", "", opendir(at("dir")) == NULL ? -1 : 0);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    look("at first");
    CALL("chroot missing", "missing", chroot(at("missing")));
    CALL("chroot a file", "plain.txt", chroot(at("plain.txt")));
    CALL("chroot /", "/", chroot("/"));
    look("after chroot to /");
    CALL("chdir", "/etc", chdir("/etc"));
    CALL("chroot ..", "..", chroot(".."));
    look("after chroot to the root by another path");
    CALL("chdir", "outside", chdir(argv[2]));
    CALL("chroot outside", "outside", chroot(argv[2]));
    look("after chroot to outside");
    return 0;
}
