/* What only the administrator may do to a path: mounts, swap, accounts, quotas, a new root. By function and by number.
 *
 * Without PROBE_CHANGES nothing is asked. What would mount over the tree is a limit (docs/LIMITS.md), as it succeeds on a
 * plain tree. */
#include "probe.h"
#include "paths.h"
#include <sys/mount.h>
#include <sys/swap.h>
#ifdef __GLIBC__
#include <sys/quota.h>
#endif

enum { OPEN_TREE = 428, MOVE_MOUNT = 429, FSPICK = 433, MOUNT_SETATTR = 442, OPEN_TREE_ATTR = 467 };
enum { CLONE = 1, NOFOLLOW = 0x100, EMPTY_PATH = 0x1000, RECURSIVE = 0x8000 };

static int may_mount;

static void writes(const char *rel, const char *path) {
    CALL("acct", rel, acct(path));
    CALL("SYS_acct", rel, syscall(SYS_acct, path));
    CALL("swapon", rel, swapon(path, 0));
    CALL("swapon with wrong flags", rel, swapon(path, 0x40000000));
    CALL("SYS_swapon", rel, syscall(SYS_swapon, path, 0));
    CALL("swapoff", rel, swapoff(path));
    CALL("SYS_swapoff", rel, syscall(SYS_swapoff, path));
    CALL("quotactl", rel, syscall(SYS_quotactl, 0x800007 << 8, path, 0, NULL));
    CALL("quotactl of no such kind", rel, syscall(SYS_quotactl, 99, path, 0, NULL));
#ifdef __GLIBC__
    CALL("quotactl()", rel, quotactl(QCMD(Q_GETQUOTA, USRQUOTA), path, 0, NULL));
#endif
}

static void mount_points(const char *rel, const char *path) {
    struct {
        uint64_t set, clear, propagation, user;
    } attributes = {0};
    CALL("umount", rel, umount(path));
    CALL("umount2", rel, umount2(path, UMOUNT_NOFOLLOW));
    CALL("umount2 with a wrong flag", rel, umount2(path, 0x40000000));
    CALL("SYS_umount2", rel, syscall(SYS_umount2, path, MNT_DETACH));
    CALL("mount_setattr", rel, syscall(MOUNT_SETATTR, AT_FDCWD, path, 0, &attributes, sizeof attributes));
    attributes.set = 1;
    CALL("mount_setattr", rel, syscall(MOUNT_SETATTR, AT_FDCWD, path, NOFOLLOW, &attributes, sizeof attributes));
    CALL("fspick", rel, syscall(FSPICK, AT_FDCWD, path, 0));
    CALL("fspick with a wrong flag", rel, syscall(FSPICK, AT_FDCWD, path, 0x40000000));
    CALL("pivot_root", rel, syscall(SYS_pivot_root, path, path));
    CALL("pivot_root to nothing", rel, syscall(SYS_pivot_root, path, at("missing")));
    /* Over the tree: a plain one can be mounted on. */
    if (may_mount && !limits)
        return;
    CALL("mount", rel, mount("none", path, "tmpfs", 0, NULL));
    CALL("mount of nothing", rel, mount("none", path, "no-such-type", 0, NULL));
    CALL("mount bind", rel, mount(path, at("dir"), NULL, MS_BIND, NULL));
    CALL("SYS_mount bind", rel, syscall(SYS_mount, at("dir"), path, NULL, MS_BIND, NULL));
    CALL("mount remount", rel, mount("none", path, NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL("move_mount", rel, syscall(MOVE_MOUNT, AT_FDCWD, path, AT_FDCWD, at("dir"), 0));
    CALL("open_tree to mount", rel, syscall(OPEN_TREE, AT_FDCWD, path, CLONE));
    CALL("open_tree_attr", rel, syscall(OPEN_TREE_ATTR, AT_FDCWD, path, CLONE, &attributes, sizeof attributes));
}

static void open_trees(const char *rel, const char *path, int dirfd) {
    static const int FLAGS[] = {0, NOFOLLOW, O_CLOEXEC, RECURSIVE, 0x40000000};
    for (int number = 0; number < COUNT(FLAGS); number++) {
        printf("flags %x ", FLAGS[number]);
        OPEN("open_tree", rel, syscall(OPEN_TREE, AT_FDCWD, path, FLAGS[number]));
        OPEN("open_tree by descriptor", rel, syscall(OPEN_TREE, dirfd, rel, FLAGS[number]));
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    if (!changes)
        return 0;
    may_mount = geteuid() == 0;
    int root = open_directory(P);
    for (int number = 0; number < COUNT(PATHS); number++) {
        const char *rel = PATHS[number];
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", P, rel);
        struct stat top, s;
        stat(P, &top);
        if (leads_out(rel))
            continue;
        open_trees(rel, path, root);
        /* The plain tree is a mount point itself. */
        if (stat(path, &s) == 0 && s.st_ino == top.st_ino)
            continue;
        writes(rel, path);
        mount_points(rel, path);
    }
    int dir = open_directory(at("dir")), empty = syscall(OPEN_TREE, dir, "", EMPTY_PATH);
    OPEN("openat by open_tree of nothing below", "same-a", openat(empty, "same-a", O_RDONLY));
    int tree = syscall(OPEN_TREE, AT_FDCWD, at("dir"), 0);
    OPEN("openat by open_tree", "same-a", openat(tree, "same-a", O_RDONLY));
    STAT("fstatat by open_tree", "sub", fstatat(tree, "sub", &s, 0));
    /* The kernel stands somewhere, and relative paths must not reach it. */
    CALL("chdir", "dir", chdir(at("dir")));
    static const char *const NEAR[] = {"same-a", ".", "sub", "../plain.txt", "missing"};
    for (int number = 0; number < COUNT(NEAR); number++) {
        writes(NEAR[number], NEAR[number]);
        mount_points(NEAR[number], NEAR[number]);
    }
    CALL("acct of nothing", "", acct(NULL) == 0 || errno == EPERM || errno == ENOSYS ? (errno = 0) : -1);
    return 0;
}
