/* Operations of the oracle on names: stat, access, readlink, realpath, extended attributes, statfs. */
#include "oracle.h"
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

typedef int stat_function(const char *, struct stat *);
typedef int versioned_stat(int, const char *, struct stat *);
typedef int versioned_fstat(int, int, struct stat *);
typedef int versioned_fstatat(int, int, const char *, struct stat *, int);

static versioned_stat *old_stat, *old_lstat;
static versioned_fstat *old_fstat;
static versioned_fstatat *old_fstatat;

static void find_old_names(void) {
    old_stat = dlsym(RTLD_DEFAULT, "__xstat");
    old_lstat = dlsym(RTLD_DEFAULT, "__lxstat");
    old_fstat = dlsym(RTLD_DEFAULT, "__fxstat");
    old_fstatat = dlsym(RTLD_DEFAULT, "__fxstatat");
}

static void op_stat(struct script *s) {
    switch (pick(s, 6)) {
    case 0: ASK_STATUS("stat64", stat64(s->path, (struct stat64 *)out)); break;
    case 1: ASK_STATUS("SYS_stat", syscall(SYS_stat, s->path, out)); break;
    case 2: if (old_stat != NULL) { ASK_STATUS("__xstat", old_stat(pick(s, 9) == 0 ? 7 : 1, s->path, out)); break; } /* fallthrough */
    default: ASK_STATUS("stat", stat(s->path, out));
    }
}

static void op_lstat(struct script *s) {
    switch (pick(s, 6)) {
    case 0: ASK_STATUS("lstat64", lstat64(s->path, (struct stat64 *)out)); break;
    case 1: ASK_STATUS("SYS_lstat", syscall(SYS_lstat, s->path, out)); break;
    case 2: if (old_lstat != NULL) { ASK_STATUS("__lxstat", old_lstat(pick(s, 9) == 0 ? 7 : 1, s->path, out)); break; } /* fallthrough */
    default: ASK_STATUS("lstat", lstat(s->path, out));
    }
}

static void op_fstatat(struct script *s) {
    int fd = from(s), flags = AT_FLAGS[pick(s, COUNT(AT_FLAGS))];
    const char *path = pick(s, 7) == 0 ? "" : s->path;
    switch (pick(s, 5)) {
    case 0: ASK_STATUS("fstatat64", fstatat64(fd, path, (struct stat64 *)out, flags)); break;
    case 1: ASK_STATUS("SYS_newfstatat", syscall(SYS_newfstatat, fd, path, out, flags)); break;
    case 2: if (old_fstatat != NULL) { ASK_STATUS("__fxstatat", old_fstatat(1, fd, path, out, flags)); break; } /* fallthrough */
    default: ASK_STATUS("fstatat", fstatat(fd, path, out, flags));
    }
}

static void op_fstat(struct script *s) {
    int fd = from(s);
    switch (pick(s, 7)) {
    case 0: ASK_STATUS("fstat64", fstat64(fd, (struct stat64 *)out)); break;
    case 1: ASK_STATUS("SYS_fstat", syscall(SYS_fstat, fd, out)); break;
    case 2: ASK_STATUS("fstatat of itself", fstatat(fd, "", out, AT_EMPTY_PATH)); break;
    case 3: if (old_fstat != NULL) { ASK_STATUS("__fxstat", old_fstat(1, fd, out)); break; } /* fallthrough */
    default: ASK_STATUS("fstat", fstat(fd, out));
    }
}

#ifdef __GLIBC__
static void op_statx(struct script *s) {
    static const unsigned MASKS[] = {STATX_BASIC_STATS, STATX_BASIC_STATS, STATX_ALL, 0, STATX_SIZE, STATX_TYPE | STATX_MODE, 1u << 31};
    static const int SYNC[] = {0, 0, 0, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC, AT_STATX_SYNC_TYPE};
    int fd = from(s), flags = AT_FLAGS[pick(s, COUNT(AT_FLAGS))] | SYNC[pick(s, COUNT(SYNC))];
    unsigned mask = MASKS[pick(s, COUNT(MASKS))];
    const char *path = pick(s, 7) == 0 ? "" : s->path;
    struct statx x, *out = pick(s, 80) == 0 ? BAD_POINTER : &x;
    struct stat status;
    memset(&x, 0xee, sizeof x);
    errno = 0;
    int value = pick(s, 3) == 0 ? (int)syscall(SYS_statx, fd, path, flags, mask, out) : statx(fd, path, flags, mask, out), error = errno;
    if (value != 0 || error != 0) {
        answer(s, "statx", value, error);
        return;
    }
    /* What was not asked for may be there or not, as the kernel finds it cheap. */
    unsigned given = x.stx_mask & mask;
    say(s, "%d statx: %x ", s->line, given & STATX_BASIC_STATS);
    memset(&status, 0, sizeof status);
    status.st_mode = x.stx_mode;
    status.st_nlink = x.stx_nlink;
    status.st_uid = x.stx_uid;
    status.st_gid = x.stx_gid;
    status.st_size = x.stx_size;
    status.st_blksize = x.stx_blksize;
    status.st_blocks = x.stx_blocks;
    status.st_ino = x.stx_ino;
    status.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor);
    status.st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor);
    if (given & STATX_ATIME)
        status.st_atim = (struct timespec){x.stx_atime.tv_sec, x.stx_atime.tv_nsec};
    if (given & STATX_MTIME)
        status.st_mtim = (struct timespec){x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec};
    if (given & STATX_CTIME)
        status.st_ctim = (struct timespec){x.stx_ctime.tv_sec, x.stx_ctime.tv_nsec};
    say_status(s, &status);
    if (exact && !is_ancestor(&status) && (given & STATX_BTIME))
        say(s, "%d born %lld.%09u\n", s->line, (long long)x.stx_btime.tv_sec, x.stx_btime.tv_nsec);
}
#else
static void op_statx(struct script *s) { op_fstatat(s); }
#endif

/* What a descriptor says of itself and what its path says must agree (as cp(1) wants it). */
static void op_agree(struct script *s) {
    struct stat one, two;
    errno = 0;
    int fd = open(s->path, O_RDONLY | O_NONBLOCK | O_NOCTTY), error = errno;
    if (fd == -1) {
        answer(s, "open to compare", fd, error);
        return;
    }
    int good = fstat(fd, &one) == 0 && stat(s->path, &two) == 0;
    say(s, "%d agree: %d %d %d %d\n", s->line, good, one.st_ino == two.st_ino && one.st_dev == two.st_dev, one.st_size == two.st_size,
        one.st_mode == two.st_mode && one.st_nlink == two.st_nlink && memcmp(&one.st_mtim, &two.st_mtim, sizeof one.st_mtim) == 0);
    close(fd);
}

/* Whether two names are one file. */
static void op_same(struct script *s) {
    struct stat one, two;
    int first = stat(s->path, &one), second = lstat(s->other, &two);
    say(s, "%d same: %d %d %d\n", s->line, first, second,
        first == 0 && second == 0 ? one.st_dev == two.st_dev && one.st_ino == two.st_ino : -1);
}

static void op_access(struct script *s) {
    static const int MODES[] = {F_OK, R_OK, W_OK, X_OK, R_OK | X_OK, R_OK | W_OK, W_OK | X_OK, 7, 8, -1};
    static const int FLAGS[] = {0, 0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EACCESS | AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 0x4000};
    int mode = MODES[pick(s, COUNT(MODES))], flags = FLAGS[pick(s, COUNT(FLAGS))], fd = from(s);
    switch (pick(s, 8)) {
    case 0: ASK("faccessat", faccessat(fd, s->path, mode, flags)); break;
    case 1: ASK("faccessat of cwd", faccessat(AT_FDCWD, s->path, mode, flags)); break;
    case 2: ASK("SYS_faccessat", syscall(SYS_faccessat, fd, s->path, mode)); break;
    case 3: ASK("SYS_faccessat2", syscall(439, fd, s->path, mode, flags)); break;
#ifdef __GLIBC__
    case 4: ASK("euidaccess", euidaccess(s->path, mode)); break;
    case 5: ASK("eaccess", eaccess(s->path, mode)); break;
#endif
    case 6: ASK("SYS_access", syscall(SYS_access, s->path, mode)); break;
    default: ASK("access", access(s->path, mode));
    }
}

static void op_readlink(struct script *s) {
    static const size_t SIZES[] = {PATH_MAX, PATH_MAX, 1, 7, 60, 0, 4095};
    size_t size = SIZES[pick(s, COUNT(SIZES))];
    int fd = from(s);
    const char *path = pick(s, 20) == 0 ? "" : s->path;
    char *out = pick(s, 60) == 0 ? BAD_POINTER : s->buffer;
    memset(s->buffer, 'x', PATH_MAX + 1);
    long length;
    errno = 0;
    switch (pick(s, 5)) {
    case 0: length = readlinkat(fd, path, out, size); break;
    case 1: length = syscall(SYS_readlink, path, out, size); break;
    case 2: length = syscall(SYS_readlinkat, fd, path, out, size); break;
    default: length = readlink(path, out, size);
    }
    answer(s, "readlink", length, errno);
    if (length > 0 && out == s->buffer) {
        say(s, "%d target: ", s->line);
        say_bytes(s, s->buffer, length);
        say(s, s->buffer[length] == 'x' ? "\n" : " and more was written\n");
    }
}

static void op_realpath(struct script *s) {
    const char *path = s->path == NULL ? NULL : readable(s);
    if (pick(s, 3) == 0) {
        errno = 0;
        char *fresh = pick(s, 2) == 0 ? realpath(path, NULL) :
#ifdef __GLIBC__
            canonicalize_file_name(path);
#else
            realpath(path, NULL);
#endif
        answer_text(s, "realpath", fresh, errno);
        free(fresh);
    } else
        ASK_TEXT("realpath", realpath(path, s->buffer));
}

static const char *const ATTRIBUTES[] = {"user.note", "user.empty", "user.missing", "security.selinux", "trusted.note", "system.posix_acl_access",
                                         "nothing", "", "user."};

static void op_getxattr(struct script *s) {
    static const size_t SIZES[] = {0, 1, 4, 300};
    const char *name = pick(s, 60) == 0 ? NULL : ATTRIBUTES[pick(s, COUNT(ATTRIBUTES))];
    size_t size = SIZES[pick(s, COUNT(SIZES))];
    int fd = from(s);
    ssize_t length;
    errno = 0;
    switch (pick(s, 6)) {
    case 0: length = getxattr(s->path, name, s->buffer, size); break;
    case 1: length = lgetxattr(s->path, name, s->buffer, size); break;
    case 2: length = fgetxattr(fd, name, s->buffer, size); break;
    case 3: length = listxattr(s->path, s->buffer, size); break;
    case 4: length = llistxattr(s->path, s->buffer, size); break;
    default: length = flistxattr(fd, s->buffer, size);
    }
    answer(s, "xattr", length, errno);
    /* The order of a list is the file system's: a sum of its bytes does not depend on it. */
    unsigned long sum = 0;
    for (ssize_t at = 0; size != 0 && at < length; at++)
        sum += (unsigned char)s->buffer[at];
    say(s, "%d sum %lu\n", s->line, sum);
}

/* What a file system is like is the store's (docs/LIMITS.md); whether it can be asked is not. */
static void op_statfs(struct script *s) {
    struct statfs f, *where = pick(s, 60) == 0 ? BAD_POINTER : &f;
    struct statvfs v;
    int fd = from(s), name = pick(s, 2) ? _PC_NAME_MAX : _PC_PATH_MAX;
    switch (pick(s, 6)) {
    case 0: ASK("statfs", statfs(s->path, where)); break;
    case 1: ASK("fstatfs", fstatfs(fd, where)); break;
    case 2: ASK("statvfs", statvfs(s->path, &v)); break;
    case 3: ASK("fstatvfs", fstatvfs(fd, &v)); break;
    case 4: ASK("pathconf", pathconf(readable(s), name)); break;
    default: ASK("fpathconf", fpathconf(fd, name));
    }
}
