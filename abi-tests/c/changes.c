/* Every call that would change the tree, on every path: the answers of a read-only mount. */
#include "probe.h"
#include "paths.h"
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static int root;

static void by_path(const char *rel) {
    const char *path = at(rel), *other = at("plain.txt");
    static const struct timespec now[2] = {{1, 1}, {2, 2}};
    static const struct timeval then[2] = {{1, 1}, {2, 2}};
    CALL("mkdir", rel, mkdir(path, 0700));
    CALL("mkdirat", rel, mkdirat(root, rel, 0700));
    CALL("rmdir", rel, rmdir(path));
    CALL("unlink", rel, unlink(path));
    CALL("unlinkat", rel, unlinkat(root, rel, 0));
    CALL("unlinkat dir", rel, unlinkat(root, rel, AT_REMOVEDIR));
    CALL("unlinkat bad flag", rel, unlinkat(root, rel, 0x40000000));
    CALL("remove", rel, remove(path));
    CALL("rename", rel, rename(path, at("new")));
    CALL("rename onto", rel, rename(other, path));
    CALL("rename to itself", rel, rename(path, path));
    CALL("renameat", rel, renameat(root, rel, root, "new"));
    CALL("renameat2 exchange", rel, syscall(SYS_renameat2, root, rel, root, "plain.txt", RENAME_EXCHANGE));
    CALL("renameat2 noreplace", rel, syscall(SYS_renameat2, root, rel, root, "plain.txt", RENAME_NOREPLACE));
    CALL("rename out", rel, rename(path, at("../outside/never")));
    CALL("rename in", rel, rename(at("../outside/file"), path));
    CALL("link", rel, link(path, at("new")));
    CALL("link onto", rel, link(other, path));
    CALL("linkat follow", rel, linkat(root, rel, root, "new", AT_SYMLINK_FOLLOW));
    CALL("link out", rel, link(path, at("../outside/never")));
    CALL("link in", rel, link(at("../outside/file"), path));
    CALL("symlink", rel, symlink("target", path));
    CALL("symlinkat", rel, symlinkat("target", root, rel));
    CALL("mknod fifo", rel, mknod(path, S_IFIFO | 0600, 0));
    CALL("mknod file", rel, mknod(path, S_IFREG | 0600, 0));
    CALL("mknodat", rel, mknodat(root, rel, S_IFREG | 0600, 0));
    CALL("mkfifo", rel, mkfifo(path, 0600));
    CALL("mkfifoat", rel, mkfifoat(root, rel, 0600));
    CALL("chmod", rel, chmod(path, 0600));
    CALL("fchmodat", rel, fchmodat(root, rel, 0600, 0));
    CALL("SYS_fchmodat", rel, syscall(SYS_fchmodat, root, rel, 0600));
    CALL("chown", rel, chown(path, 0, 0));
    CALL("chown nothing", rel, chown(path, -1, -1));
    CALL("lchown", rel, lchown(path, 0, 0));
    CALL("fchownat", rel, fchownat(root, rel, 0, 0, AT_SYMLINK_NOFOLLOW));
    CALL("truncate", rel, truncate(path, 0));
    CALL("truncate -1", rel, truncate(path, -1));
    CALL("utime", rel, utime(path, NULL));
    CALL("utimes", rel, utimes(path, then));
    CALL("lutimes", rel, lutimes(path, then));
    CALL("futimesat", rel, futimesat(root, rel, then));
    CALL("utimensat", rel, utimensat(root, rel, now, 0));
    CALL("utimensat nofollow", rel, utimensat(root, rel, now, AT_SYMLINK_NOFOLLOW));
    CALL("setxattr", rel, setxattr(path, "user.x", "v", 1, 0));
    CALL("lsetxattr", rel, lsetxattr(path, "user.x", "v", 1, 0));
    CALL("removexattr", rel, removexattr(path, "user.x"));
    CALL("lremovexattr", rel, lremovexattr(path, "user.x"));
    /* A symlink in the place of the new name decides too. */
    if (strcmp(rel, "") != 0) {
        CALL("mkdir through a link", rel, mkdir(at("links/dangling"), 0700));
        CALL("symlink from outside", rel, symlink(path, at("links/dangling")));
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) < sizeof address.sun_path) {
        int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(address.sun_path, path);
        CALL("bind", rel, bind(socket_fd, (struct sockaddr *)&address, sizeof address));
        CALL("connect", rel, connect(socket_fd, (struct sockaddr *)&address, sizeof address));
        close(socket_fd);
    }
}

static void by_descriptor(const char *rel) {
    static const struct timespec now[2] = {{1, 1}, {2, 2}};
    static const int WAYS[] = {O_RDONLY | O_NONBLOCK, O_PATH, O_PATH | O_NOFOLLOW};
    for (int way = 0; way < COUNT(WAYS); way++) {
        int fd = open(at(rel), WAYS[way]);
        char proc[64];
        if (fd == -1)
            continue;
        printf("way %d\n", way);
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        CALL("fchmod", rel, fchmod(fd, 0600));
        CALL("fchown", rel, fchown(fd, 0, 0));
        CALL("futimens", rel, futimens(fd, now));
        CALL("ftruncate", rel, ftruncate(fd, 0));
        CALL("fsetxattr", rel, fsetxattr(fd, "user.x", "v", 1, 0));
        CALL("fremovexattr", rel, fremovexattr(fd, "user.x"));
        CALL("write", rel, write(fd, "x", 1));
        CALL("fallocate", rel, fallocate(fd, 0, 0, 10));
        CALL("linkat empty", rel, linkat(fd, "", root, "new", AT_EMPTY_PATH));
        CALL("fchownat empty", rel, fchownat(fd, "", 0, 0, AT_EMPTY_PATH));
        CALL("utimensat empty", rel, utimensat(fd, "", now, AT_EMPTY_PATH));
        CALL("mkdirat below", rel, mkdirat(fd, "new", 0700));
        CALL("openat creat below", rel, openat(fd, "new", O_CREAT | O_WRONLY, 0600));
        CALL("symlinkat below", rel, symlinkat("target", fd, "new"));
        /* The same file by its descriptor's name in /proc: the store must not be reached. */
        CALL("open w by proc", rel, open(proc, O_WRONLY));
        CALL("open rw trunc by proc", rel, open(proc, O_RDWR | O_TRUNC));
        CALL("chmod by proc", rel, chmod(proc, 0600));
        CALL("truncate by proc", rel, truncate(proc, 0));
        CALL("utimensat by proc", rel, utimensat(AT_FDCWD, proc, now, 0));
        CALL("setxattr by proc", rel, setxattr(proc, "user.x", "v", 1, 0));
        CALL("linkat by proc", rel, linkat(AT_FDCWD, proc, root, "new", AT_SYMLINK_FOLLOW));
        snprintf(proc, sizeof proc, "/dev/fd/%d", fd);
        CALL("open w by dev", rel, open(proc, O_WRONLY));
        snprintf(proc, sizeof proc, "/proc/%d/fd/%d", getpid(), fd);
        CALL("open w by pid", rel, open(proc, O_WRONLY));
        snprintf(proc, sizeof proc, "/proc/self/fd/%d/new", fd);
        CALL("mkdir below proc", rel, mkdir(proc, 0700));
        close(fd);
    }
}

static void attributes(const char *rel) {
    char out[256];
    const char *path = at(rel);
    memset(out, 0, sizeof out);
    CALL("getxattr", rel, getxattr(path, "user.velo.note", out, sizeof out));
    TEXT("value", rel, out);
    CALL("getxattr size", rel, getxattr(path, "user.velo.note", NULL, 0));
    CALL("getxattr small", rel, getxattr(path, "user.velo.note", out, 1));
    CALL("getxattr missing", rel, getxattr(path, "user.nothing", out, sizeof out));
    CALL("lgetxattr", rel, lgetxattr(path, "user.velo.note", out, sizeof out));
    CALL("getxattr bad name", rel, getxattr(path, "nonsense", out, sizeof out));
    CALL("listxattr", rel, listxattr(path, out, sizeof out));
    TEXT("first name", rel, out);
    CALL("listxattr size", rel, listxattr(path, NULL, 0));
    CALL("listxattr small", rel, listxattr(path, out, 1));
    CALL("llistxattr", rel, llistxattr(path, out, sizeof out));
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd != -1) {
        CALL("fgetxattr", rel, fgetxattr(fd, "user.velo.note", out, sizeof out));
        CALL("flistxattr", rel, flistxattr(fd, out, sizeof out));
        close(fd);
    }
}

static void temporary_names(void) {
    static const char *const PLACES[] = {"fileXXXXXX", "dir/fileXXXXXX", "missing/fileXXXXXX", "plain.txt/XXXXXX", "short"};
    for (int number = 0; number < COUNT(PLACES); number++) {
        char name[PATH_MAX];
#define FRESH (strcpy(name, at(PLACES[number])), name)
        CALL("mkstemp", PLACES[number], mkstemp(FRESH));
        CALL("mkostemp", PLACES[number], mkostemp(FRESH, O_CLOEXEC));
        CALL("mkdtemp", PLACES[number], mkdtemp(FRESH) == NULL ? -1 : 0);
        strcat(FRESH, ".txt");
        CALL("mkstemps", PLACES[number], mkstemps(name, 4));
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    root = open_directory(P);
    for (int number = 0; number < COUNT(PATHS); number++) {
        attributes(PATHS[number]);
        if (leads_out(PATHS[number]))
            continue;
        by_path(PATHS[number]);
        by_descriptor(PATHS[number]);
    }
    temporary_names();
    CALL("chdir", "dir", chdir(at("dir")));
    static const char *const NEAR[] = {"same-a", "new", "../plain.txt", "../new", "sub", "missing/new"};
    for (int number = 0; number < COUNT(NEAR); number++) {
        const char *rel = NEAR[number];
        CALL("mkdir", rel, mkdir(rel, 0700));
        CALL("unlink", rel, unlink(rel));
        CALL("rename", rel, rename(rel, "other"));
        CALL("open creat", rel, open(rel, O_CREAT | O_WRONLY, 0600));
        CALL("chmod", rel, chmod(rel, 0600));
        CALL("symlink", rel, symlink("x", rel));
        CALL("truncate", rel, truncate(rel, 0));
        CALL("rmdir", rel, rmdir(rel));
        CALL("utimensat", rel, utimensat(AT_FDCWD, rel, NULL, 0));
    }
    return 0;
}
