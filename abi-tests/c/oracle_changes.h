/* Operations of the oracle that would change a writable tree: everything is read-only where they run. */
#include "oracle.h"
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static void op_make(struct script *s) {
    int fd = from(s);
    switch (pick(s, 7)) {
    case 0: ASK("mkdir", mkdir(s->path, 0700)); break;
    case 1: ASK("mkdirat", mkdirat(fd, s->path, 0700)); break;
    case 2: ASK("mknod", mknod(s->path, S_IFREG | 0600, 0)); break;
    case 3: ASK("mkfifo", mkfifo(s->path, 0600)); break;
    case 4: ASK("mkfifoat", mkfifoat(fd, s->path, 0600)); break;
    case 5: ASK("symlinkat", symlinkat("x", fd, s->path)); break;
    default: ASK("symlink", symlink(pick(s, 20) == 0 ? "" : "x", s->path));
    }
}

static void op_temporary(struct script *s) {
    snprintf(s->second, sizeof s->second, "%.4000sXXXXXX", readable(s));
    if (pick(s, 2))
        ASK("mkstemp", mkstemp(s->second));
    else
        ASK("mkdtemp", mkdtemp(s->second) == NULL ? -1 : 0);
}

static void op_remove(struct script *s) {
    static const int REMOVE_FLAGS[] = {0, AT_REMOVEDIR, 0x4000};
    int fd = from(s);
    switch (pick(s, 5)) {
    case 0: ASK("unlink", unlink(s->path)); break;
    case 1: ASK("rmdir", rmdir(s->path)); break;
    case 2: ASK("remove", remove(s->path)); break;
    default: ASK("unlinkat", unlinkat(fd, s->path, REMOVE_FLAGS[pick(s, COUNT(REMOVE_FLAGS))]));
    }
}

static void op_rename(struct script *s) {
    static const int RENAME_FLAGS[] = {0, 1, 2, 4, 3, 64};
    int fd = from(s);
    switch (pick(s, 4)) {
    case 0: ASK("rename", rename(s->path, s->other)); break;
    case 1: ASK("renameat", renameat(fd, s->path, AT_FDCWD, s->other)); break;
    default: ASK("renameat2", syscall(SYS_renameat2, AT_FDCWD, s->path, fd, s->other, RENAME_FLAGS[pick(s, COUNT(RENAME_FLAGS))]));
    }
}

static void op_link(struct script *s) {
    static const int LINK_FLAGS[] = {0, 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 0x4000};
    int fd = from(s);
    if (pick(s, 3) == 0)
        ASK("link", link(s->path, s->other));
    else if (pick(s, 2))
        ASK("linkat", linkat(fd, s->path, AT_FDCWD, s->other, LINK_FLAGS[pick(s, COUNT(LINK_FLAGS))]));
    else
        ASK("linkat", linkat(AT_FDCWD, s->path, fd, s->other, LINK_FLAGS[pick(s, COUNT(LINK_FLAGS))]));
}

static const int CHANGE_FLAGS[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, 0x8000};

static void op_chmod(struct script *s) {
    int fd = from(s), flags = CHANGE_FLAGS[pick(s, COUNT(CHANGE_FLAGS))];
    switch (pick(s, 4)) {
    case 0: ASK("fchmod", fchmod(fd, 0600)); break;
    case 1: ASK("fchmodat", fchmodat(fd, s->path, 0600, flags)); break;
    default: ASK("chmod", chmod(s->path, 0600));
    }
}

static void op_chown(struct script *s) {
    int fd = from(s), flags = CHANGE_FLAGS[pick(s, COUNT(CHANGE_FLAGS))];
    switch (pick(s, 4)) {
    case 0: ASK("fchown", fchown(fd, -1, -1)); break;
    case 1: ASK("lchown", lchown(s->path, 65534, -1)); break;
    case 2: ASK("fchownat", fchownat(fd, s->path, 0, 0, flags)); break;
    default: ASK("chown", chown(s->path, 0, 0));
    }
}

static void op_times(struct script *s) {
    int fd = from(s), flags = CHANGE_FLAGS[pick(s, COUNT(CHANGE_FLAGS))];
    struct timespec times[] = {{1, 2}, {3, 4}}, omit[] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, bad[] = {{0, -5}, {0, 0}};
    struct timespec *choices[] = {NULL, times, omit, bad}, *chosen = choices[pick(s, COUNT(choices))];
    switch (pick(s, 8)) {
    case 0: ASK("futimens", futimens(fd, chosen)); break;
    case 1: ASK("utime", utime(s->path, NULL)); break;
    case 2: ASK("utimes", utimes(s->path, NULL)); break;
    case 3: ASK("lutimes", lutimes(s->path, NULL)); break;
    case 4: ASK("futimesat", futimesat(fd, s->path, NULL)); break;
    case 5: ASK("SYS_utimensat", syscall(SYS_utimensat, fd, s->path, chosen, flags)); break;
    default: ASK("utimensat", utimensat(fd, s->path, chosen, flags));
    }
}

static void op_truncate(struct script *s) {
    int fd = from(s);
    switch (pick(s, 4)) {
    case 0: ASK("ftruncate", ftruncate(fd, pick(s, 100))); break;
    case 1: ASK("truncate", truncate(s->path, -1)); break;
    default: ASK("truncate", truncate(s->path, pick(s, 100)));
    }
}

static void op_setxattr(struct script *s) {
    static const char *const NAMES[] = {"user.note", "user.note", "user.new", "", "user.", "trusted.note", "security.note", "nothing"};
    const char *name = NAMES[pick(s, COUNT(NAMES))];
    int fd = from(s), flags = pick(s, 5) == 0 ? 1 + pick(s, 4) : 0;
    switch (pick(s, 6)) {
    case 0: ASK("setxattr", setxattr(s->path, name, "new", 3, flags)); break;
    case 1: ASK("lsetxattr", lsetxattr(s->path, name, "new", 3, flags)); break;
    case 2: ASK("fsetxattr", fsetxattr(fd, name, "new", 3, flags)); break;
    case 3: ASK("removexattr", removexattr(s->path, name)); break;
    case 4: ASK("lremovexattr", lremovexattr(s->path, name)); break;
    default: ASK("fremovexattr", fremovexattr(fd, name));
    }
}
