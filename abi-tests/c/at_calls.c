/* The calls that take a directory and a path, with every descriptor, good and bad, against every kind of path that is
 * refused for itself: where both are wrong, or the flags too, it is the order of checks that shows. */
#include "probe.h"
#include "paths.h"
#include <sys/time.h>

#define BAD ((const char *)1)
#define NO_SUCH_FLAG 0x4000000

struct open_request { uint64_t flags, mode, resolve; };
struct attribute { uint64_t value; uint32_t size, flags; };

static char buffer[PATH_MAX];

static long opened_by_openat2(int fd, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_request how = {flags, flags & O_CREAT ? 0600 : 0, resolve};
    return syscall(SYS_openat2, fd, path, &how, sizeof how);
}

static void reading(int fd, const char *path, const char *name) {
    static const int OPEN_FLAGS[] = {O_RDONLY, O_RDONLY | O_DIRECTORY, O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW};
    /* Not RESOLVE_CACHED: what the kernel has in its cache is its own affair. */
    static const int RESOLVE[] = {0, 1, 4, 8, 0x10, 0x100};
    static const int FLAGS[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, NO_SUCH_FLAG};
    static const int MODES[] = {F_OK, R_OK, W_OK, 8};
    struct stat status;
    char extended[256]; /* struct statx, which old musl has no name for */
    for (int number = 0; number < COUNT(OPEN_FLAGS); number++) {
        OPEN("openat", name, openat(fd, path, OPEN_FLAGS[number]));
        OPEN("SYS_openat", name, syscall(SYS_openat, fd, path, OPEN_FLAGS[number]));
    }
    for (int number = 0; number < COUNT(RESOLVE); number++) {
        OPEN("openat2", name, opened_by_openat2(fd, path, O_RDONLY, RESOLVE[number]));
        OPEN("openat2 of the place", name, opened_by_openat2(fd, path, O_PATH | O_NOFOLLOW, RESOLVE[number]));
    }
    OPEN("openat2 of no such flag", name, opened_by_openat2(fd, path, 1ull << 40, 0));
    OPEN("open_tree", name, syscall(SYS_open_tree, fd, path, 0));
    for (int number = 0; number < COUNT(FLAGS); number++) {
        int flags = FLAGS[number];
        CALL("fstatat", name, fstatat(fd, path, &status, flags));
        CALL("SYS_newfstatat", name, syscall(SYS_newfstatat, fd, path, &status, flags));
        CALL("SYS_newfstatat to nowhere", name, syscall(SYS_newfstatat, fd, path, BAD, flags));
        CALL("SYS_statx", name, syscall(SYS_statx, fd, path, flags, 0x7ff, extended));
        CALL("SYS_statx of no such mask", name, syscall(SYS_statx, fd, path, flags, 1u << 31, extended));
#ifdef __GLIBC__
        CALL("statx", name, statx(fd, path, flags, 0x7ff, (struct statx *)extended));
#endif
        for (int mode = 0; mode < COUNT(MODES); mode++) {
            CALL("faccessat", name, faccessat(fd, path, MODES[mode], flags));
            CALL("SYS_faccessat2", name, syscall(439, fd, path, MODES[mode], flags));
        }
        CALL("getxattrat", name, syscall(464, fd, path, flags, "user.none", &(struct attribute){(uintptr_t)buffer, 9, 0}, sizeof(struct attribute)));
        CALL("listxattrat", name, syscall(465, fd, path, flags, buffer, 0));
        CALL("execveat", name, syscall(SYS_execveat, fd, path, NULL, NULL, flags));
    }
    CALL("SYS_faccessat", name, syscall(SYS_faccessat, fd, path, R_OK));
    CALL("readlinkat", name, readlinkat(fd, path, buffer, sizeof buffer));
    CALL("readlinkat of nothing", name, readlinkat(fd, path, buffer, 0));
    CALL("readlinkat to nowhere", name, syscall(SYS_readlinkat, fd, path, BAD, 64));
}

static void changing(int fd, const char *path, const char *name, int root) {
    static const int FLAGS[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, NO_SUCH_FLAG};
    static const struct timespec TIMES[2] = {{1, 0}, {2, 0}}, NO_TIMES[2] = {{1, 2000000000}, {1, 0}};
    static const struct timeval OLD_TIMES[2] = {{1, 0}, {2, 0}};
    OPEN("openat to create", name, openat(fd, path, O_CREAT | O_WRONLY, 0600));
    OPEN("openat to create it", name, openat(fd, path, O_CREAT | O_EXCL | O_WRONLY, 0600));
    OPEN("openat to write", name, openat(fd, path, O_WRONLY));
    OPEN("openat of a temporary", name, openat(fd, path, O_TMPFILE | O_WRONLY, 0600));
    OPEN("openat2 to create", name, opened_by_openat2(fd, path, O_CREAT | O_WRONLY, 0));
    OPEN("openat2 to create within", name, opened_by_openat2(fd, path, O_CREAT | O_WRONLY, 1));
    OPEN("openat2 to create beneath", name, opened_by_openat2(fd, path, O_CREAT | O_WRONLY, 8));
    CALL("mkdirat", name, mkdirat(fd, path, 0700));
    CALL("mknodat", name, mknodat(fd, path, S_IFREG | 0600, 0));
    CALL("mknodat of no kind", name, mknodat(fd, path, 0170000, 0));
    CALL("mknodat of a directory", name, mknodat(fd, path, S_IFDIR | 0700, 0));
    CALL("mknodat of a symlink", name, mknodat(fd, path, S_IFLNK | 0700, 0));
    CALL("mknodat of a device", name, mknodat(fd, path, S_IFCHR | 0600, 0x103));
    CALL("mkfifoat", name, mkfifoat(fd, path, 0600));
    CALL("symlinkat", name, symlinkat("text", fd, path));
    CALL("symlinkat of nothing", name, symlinkat("", fd, path));
    CALL("symlinkat of no text", name, syscall(SYS_symlinkat, BAD, fd, path));
    for (int number = 0; number < COUNT(FLAGS); number++) {
        int flags = FLAGS[number];
        CALL("linkat from", name, linkat(fd, path, root, "new", flags));
        CALL("linkat to", name, linkat(root, "plain.txt", fd, path, flags));
        CALL("linkat of what is missing", name, linkat(root, "missing", fd, path, flags));
        CALL("linkat from nowhere", name, linkat(-1, "plain.txt", fd, path, flags));
        CALL("SYS_fchmodat2", name, syscall(452, fd, path, 0600, flags));
        CALL("fchownat", name, fchownat(fd, path, 0, 0, flags));
        CALL("SYS_utimensat", name, syscall(SYS_utimensat, fd, path, TIMES, flags));
        CALL("SYS_utimensat of no times", name, syscall(SYS_utimensat, fd, path, NO_TIMES, flags));
        CALL("setxattrat", name, syscall(463, fd, path, flags, "user.new", &(struct attribute){(uintptr_t)buffer, 1, 0}, sizeof(struct attribute)));
        CALL("removexattrat", name, syscall(466, fd, path, flags, "user.new"));
    }
    for (int flags = 0; flags < 8; flags++) {
        CALL("renameat2 from", name, syscall(SYS_renameat2, fd, path, root, "new", flags));
        CALL("renameat2 to", name, syscall(SYS_renameat2, root, "plain.txt", fd, path, flags));
        CALL("renameat2 from nowhere", name, syscall(SYS_renameat2, -1, "plain.txt", fd, path, flags));
    }
    CALL("unlinkat", name, unlinkat(fd, path, 0));
    CALL("unlinkat of a directory", name, unlinkat(fd, path, AT_REMOVEDIR));
    CALL("unlinkat of no such flag", name, unlinkat(fd, path, NO_SUCH_FLAG));
    CALL("fchmodat", name, fchmodat(fd, path, 0600, 0));
    CALL("SYS_fchmodat", name, syscall(SYS_fchmodat, fd, path, 0600));
    CALL("futimesat", name, syscall(SYS_futimesat, fd, path, OLD_TIMES));
}

/* `./` before `name`, or between `prefix` and it, so often that there are `length` bytes. */
static const char *padded(const char *prefix, const char *name, size_t length) {
    char *path = malloc(length + 1);
    size_t used = strlen(prefix), end = length - strlen(name);
    memcpy(path, prefix, used);
    if ((end - used) % 2 == 1)
        path[used++] = used == 0 ? '.' : '/';
    for (; used < end; used++)
        path[used] = path[used - (used != 0)] == '/' || used == 0 ? '.' : '/';
    strcpy(path + end, name);
    return path;
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int root = open_directory(P), ends[2], closed = dup(root);
    close(closed);
    if (chdir(P) != 0 || pipe(ends) != 0)
        return 1;
    char above[PATH_MAX], inside[PATH_MAX];
    snprintf(above, sizeof above, "%s/..", P);
    snprintf(inside, sizeof inside, "%s/", P);
    const struct { const char *name; int fd, is_above; } PLACES[] = {
        {"the tree", root, 0}, {"its path", open(P, O_PATH), 0}, {"a directory", open("dir", O_RDONLY), 0},
        {"above", open(above, O_RDONLY), 1}, {"a file", open("plain.txt", O_RDONLY), 0}, {"a path", open("plain.txt", O_PATH), 0},
        {"a symlink", open("links/relative", O_PATH | O_NOFOLLOW), 0}, {"a pipe", ends[0], 0}, {"closed", closed, 0},
        {"-1", -1, 0}, {"-99", -99, 0}, {"least", INT_MIN, 0}, {"greatest", INT_MAX, 0}, {"here", AT_FDCWD, 0},
    };
    const struct { const char *name, *path; } PATHS[] = {
#ifdef __GLIBC__ /* musl looks at some by itself */
        {"NULL", NULL}, {"1", BAD}, {"the kernel's", (const char *)-4096},
#endif
        {"", ""}, {".", "."}, {"plain.txt", "plain.txt"},
        {"plain.txt/", "plain.txt/"}, {"plain.txt/below", "plain.txt/below"}, {"missing", "missing"}, {"missing/", "missing/"},
        {"missing/below", "missing/below"}, {"dir", "dir"}, {"dir/", "dir/"}, {"links/relative", "links/relative"},
        {"links/dangling", "links/dangling"}, {"links/self", "links/self"}, {"255", X255}, {"256", X255 "x"},
        {"missing and 256", "missing/" X255 "x"}, {"256 and a slash", X255 "x/"},
        {"4085", padded("", "plain.txt", 4085)}, {"4095", padded("", "plain.txt", 4095)}, {"4096", padded("", "plain.txt", 4096)},
        {"4097", padded("", "plain.txt", 4097)}, {"5000", padded("", "missing", 5000)},
        {"4096 and 256", padded("", X255 "x", 4096)}, {"4608 and 256", padded("", X255 "x", 4608)}, {"absolute", at("plain.txt")}, {"absolute missing", strdup(at("missing"))}, {"absolute 256", strdup(at(X255 "x"))},
        {"absolute 4095", padded(inside, "plain.txt", 4095)}, {"absolute 4096", padded(inside, "plain.txt", 4096)},
    };
    for (int place = 0; place < COUNT(PLACES); place++) {
        for (int number = 0; number < COUNT(PATHS); number++) {
            char name[64];
            snprintf(name, sizeof name, "%s: %s", PLACES[place].name, PATHS[number].name);
            reading(PLACES[place].fd, PATHS[number].path, name);
            /* Above the tree there is something to change. */
            if (!PLACES[place].is_above)
                changing(PLACES[place].fd, PATHS[number].path, name, root);
        }
    }
    return 0;
}
