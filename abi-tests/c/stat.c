/* The stat and access families over every path, absolute, relative and by descriptor. */
#include "probe.h"
#include "paths.h"

#ifdef __GLIBC__
static unsigned wanted;

/* What was asked for: a file system may volunteer more, and that is not compared. */
static void print_statx(const struct statx *x) {
    unsigned mask = x->stx_mask & wanted;
    printf("mask=%x mode=%o blksize=%u rdev=%u:%u", mask, x->stx_mode, x->stx_blksize, x->stx_rdev_major, x->stx_rdev_minor);
    if (mask & STATX_SIZE)
        printf(" size=%llu", (unsigned long long)x->stx_size);
    if (mask & STATX_NLINK)
        printf(" nlink=%u uid=%u gid=%u", x->stx_nlink, x->stx_uid, x->stx_gid);
    if (mask & STATX_MTIME)
        printf(" mtime=%lld.%09u", (long long)x->stx_mtime.tv_sec, x->stx_mtime.tv_nsec);
    if (exact && mask & STATX_INO)
        printf(" ino=%llu blocks=%llu", (unsigned long long)x->stx_ino, (unsigned long long)x->stx_blocks);
    if (exact && mask & STATX_CTIME)
        printf(" atime=%lld.%09u ctime=%lld.%09u", (long long)x->stx_atime.tv_sec, x->stx_atime.tv_nsec,
               (long long)x->stx_ctime.tv_sec, x->stx_ctime.tv_nsec);
    if (exact && mask & STATX_BTIME)
        printf(" btime=%lld.%09u", (long long)x->stx_btime.tv_sec, x->stx_btime.tv_nsec);
    putchar('\n');
}

/* `statx` that remembers what was asked for. A usual manifest does not know when a file was made. */
static long ask(int fd, const char *path, int flags, unsigned mask, struct statx *x) {
    wanted = exact ? mask : mask & ~STATX_BTIME;
    return statx(fd, path, flags, mask, x);
}

#define STATX(name, path, expression)         \
    do {                                      \
        struct statx x;                       \
        memset(&x, 0, sizeof x);              \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        int error_ = errno;                   \
        label(name, path);                    \
        if (answer_ == 0 && error_ == 0)      \
            print_statx(&x);                  \
        else                                  \
            result(answer_, error_);          \
    } while (0)

static int (*xstat_)(int, const char *, struct stat *), (*lxstat_)(int, const char *, struct stat *);
static int (*xstat64_)(int, const char *, struct stat *), (*lxstat64_)(int, const char *, struct stat *);
static int (*fxstat_)(int, int, struct stat *), (*fxstat64_)(int, int, struct stat *);
static int (*fxstatat_)(int, int, const char *, struct stat *, int), (*fxstatat64_)(int, int, const char *, struct stat *, int);
#endif

static void by_path(const char *path) {
    STAT("stat", path, stat(path, &s));
    STAT("lstat", path, lstat(path, &s));
    STAT("SYS_stat", path, syscall(SYS_stat, path, &s));
    STAT("SYS_lstat", path, syscall(SYS_lstat, path, &s));
#ifdef __GLIBC__
    STAT("stat64", path, stat64(path, (struct stat64 *)&s));
    STAT("lstat64", path, lstat64(path, (struct stat64 *)&s));
    STAT("__xstat", path, xstat_(1, path, &s));
    STAT("__lxstat", path, lxstat_(1, path, &s));
    STAT("__xstat64", path, xstat64_(1, path, &s));
    STAT("__lxstat64", path, lxstat64_(1, path, &s));
    for (int mode = 0; mode < 8; mode += 3)
        CALL("euidaccess", path, euidaccess(path, mode));
    CALL("eaccess r", path, eaccess(path, R_OK));
#endif
    for (int mode = 0; mode < 8; mode++) {
        char name[16];
        snprintf(name, sizeof name, "access %d", mode);
        CALL(name, path, access(path, mode));
    }
    CALL("SYS_access r", path, syscall(SYS_access, path, R_OK));
}

static void by_descriptor(int fd, const char *path) {
    STAT("fstatat", path, fstatat(fd, path, &s, 0));
    STAT("fstatat nofollow", path, fstatat(fd, path, &s, AT_SYMLINK_NOFOLLOW));
    STAT("fstatat empty", path, fstatat(fd, path, &s, AT_EMPTY_PATH));
    STAT("fstatat no-automount", path, fstatat(fd, path, &s, AT_NO_AUTOMOUNT));
    STAT("fstatat bad flag", path, fstatat(fd, path, &s, 0x40000000));
    STAT("SYS_newfstatat", path, syscall(SYS_newfstatat, fd, path, &s, AT_SYMLINK_NOFOLLOW));
#ifdef __GLIBC__
    STAT("fstatat64", path, fstatat64(fd, path, (struct stat64 *)&s, 0));
    STAT("__fxstatat", path, fxstatat_(1, fd, path, &s, 0));
    STAT("__fxstatat64", path, fxstatat64_(1, fd, path, &s, AT_SYMLINK_NOFOLLOW));
    STATX("statx", path, ask(fd, path, 0, STATX_BASIC_STATS | STATX_BTIME, &x));
    STATX("statx nofollow", path, ask(fd, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x));
    STATX("statx empty", path, ask(fd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &x));
    STATX("statx mode", path, ask(fd, path, AT_STATX_FORCE_SYNC, STATX_MODE | STATX_SIZE, &x));
    STATX("statx bad sync", path, ask(fd, path, AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_MODE, &x));
    STATX("statx bad flag", path, ask(fd, path, 0x40000000, STATX_MODE, &x));
    STATX("statx reserved", path, ask(fd, path, 0, STATX__RESERVED, &x));
    STATX("SYS_statx", path, (wanted = STATX_BASIC_STATS, syscall(SYS_statx, fd, path, 0, STATX_BASIC_STATS, &x)));
#endif
    for (int mode = 0; mode < 8; mode++) {
        char name[24];
        snprintf(name, sizeof name, "faccessat %d", mode);
        CALL(name, path, faccessat(fd, path, mode, 0));
    }
    CALL("faccessat effective r", path, faccessat(fd, path, R_OK, AT_EACCESS));
    CALL("faccessat effective x", path, faccessat(fd, path, X_OK, AT_EACCESS));
    CALL("faccessat nofollow", path, faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW));
    CALL("faccessat bad mode", path, faccessat(fd, path, 8, 0));
    CALL("faccessat bad flag", path, faccessat(fd, path, F_OK, 0x40000000));
    CALL("SYS_faccessat", path, syscall(SYS_faccessat, fd, path, R_OK));
#ifdef SYS_faccessat2
    CALL("SYS_faccessat2", path, syscall(SYS_faccessat2, fd, path, W_OK, AT_EACCESS));
    CALL("SYS_faccessat2 nofollow", path, syscall(SYS_faccessat2, fd, path, R_OK, AT_SYMLINK_NOFOLLOW));
    CALL("SYS_faccessat2 empty", path, syscall(SYS_faccessat2, fd, path, R_OK, AT_EMPTY_PATH));
#endif
}

/* What a descriptor says of itself, for each way to open the path. */
static void of_descriptor(const char *path) {
    static const int WAYS[] = {O_RDONLY | O_NONBLOCK, O_PATH, O_PATH | O_NOFOLLOW};
    for (int way = 0; way < COUNT(WAYS); way++) {
        int fd = open(path, WAYS[way]);
        if (fd == -1)
            continue;
        printf("way %d: ", way);
        STAT("fstat", path, fstat(fd, &s));
        STAT("SYS_fstat", path, syscall(SYS_fstat, fd, &s));
#ifdef __GLIBC__
        STAT("__fxstat", path, fxstat_(1, fd, &s));
        STAT("__fxstat64", path, fxstat64_(1, fd, &s));
        STAT("fstat64", path, fstat64(fd, (struct stat64 *)&s));
        STATX("statx empty", path, ask(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
        STATX("statx NULL", path, ask(fd, NULL, AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
#endif
        STAT("fstatat empty", path, fstatat(fd, "", &s, AT_EMPTY_PATH));
        STAT("fstatat empty nofollow", path, fstatat(fd, "", &s, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
        STAT("fstatat empty without flag", path, fstatat(fd, "", &s, 0));
        STAT("fstatat below", path, fstatat(fd, "sub", &s, 0));
        STAT("fstatat dotdot", path, fstatat(fd, "..", &s, 0));
        CALL("faccessat empty", path, faccessat(fd, "", R_OK, AT_EMPTY_PATH));
        close(fd);
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
#ifdef __GLIBC__
    xstat_ = named("__xstat"), lxstat_ = named("__lxstat"), xstat64_ = named("__xstat64");
    lxstat64_ = named("__lxstat64"), fxstat_ = named("__fxstat"), fxstat64_ = named("__fxstat64");
    fxstatat_ = named("__fxstatat"), fxstatat64_ = named("__fxstatat64");
#endif
    int root = open_directory(P), dir = open_directory(at("dir")), links = open_directory(at("links"));
    for (int number = 0; number < COUNT(PATHS); number++) {
        const char *path = PATHS[number];
        by_path(at(path));
        by_descriptor(AT_FDCWD, at(path));
        by_descriptor(root, path);
        of_descriptor(at(path));
    }
    printf("-- the working directory is P\n");
    CALL("chdir", P, chdir(P));
    for (int number = 0; number < COUNT(PATHS); number++) {
        by_path(PATHS[number]);
        by_descriptor(AT_FDCWD, PATHS[number]);
    }
    printf("-- the working directory is P/dir\n");
    CALL("chdir", "dir", chdir("dir"));
    static const char *const NEAR[] = {"same-a", "../plain.txt", "sub/..", "../links/relative", "..", "../..", "../../outside/file", "."};
    for (int number = 0; number < COUNT(NEAR); number++) {
        by_path(NEAR[number]);
        by_descriptor(dir, NEAR[number]);
        by_descriptor(links, NEAR[number]);
    }
    return 0;
}
