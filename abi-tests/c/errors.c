/* Bad pointers, bad descriptors, bad flags: the kernel's own errors, and no crash. */
#include "probe.h"
#include "paths.h"

#ifdef __GLIBC__
#define BAD ((void *)1)

/* `text` at the very end of a page, after which nothing is mapped. */
static char *at_edge(const char *text, size_t length) {
    char *pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + (1 << 15), 1 << 15);
    return memcpy(pages + (1 << 15) - length, text, length);
}

/* Of glibc only: musl looks at some of these pointers itself. */
static void pointers(int root) {
    /* What is bad by its address. Unmapped memory in the range of a program's own can be told by
     * the kernel only, at the price of a system call a pointer; libc itself crashes on such. */
    static const char *const NAMES[] = {"NULL", "1", "high", "kernel"};
    const char *const POINTERS[] = {NULL, BAD, (void *)0x7ffffffff000, (void *)-4096};
    struct stat s;
    char out[PATH_MAX];
    for (int number = 0; number < COUNT(POINTERS); number++) {
        const char *bad = POINTERS[number], *name = NAMES[number];
        CALL("open", name, open(bad, O_RDONLY));
        CALL("openat", name, openat(root, bad, O_RDONLY));
        CALL("SYS_openat", name, syscall(SYS_openat, root, bad, O_RDONLY));
        CALL("stat", name, stat(bad, &s));
        CALL("lstat", name, lstat(bad, &s));
        CALL("fstatat", name, fstatat(root, bad, &s, 0));
        CALL("SYS_stat", name, syscall(SYS_stat, bad, &s));
        CALL("access", name, access(bad, R_OK));
        CALL("faccessat", name, faccessat(root, bad, R_OK, 0));
        CALL("readlink", name, readlink(bad, out, sizeof out));
        CALL("readlinkat", name, readlinkat(root, bad, out, sizeof out));
        CALL("chdir", name, chdir(bad));
        CALL("mkdir", name, mkdir(bad, 0700));
        CALL("unlink", name, unlink(bad));
        CALL("rename", name, rename(bad, at("x")));
        CALL("rename to", name, rename(at("plain.txt"), bad));
        CALL("symlink", name, symlink("x", bad));
        CALL("symlink of", name, symlink(bad, at("new")));
        CALL("chmod", name, chmod(bad, 0600));
        CALL("chown", name, chown(bad, 0, 0));
        CALL("truncate", name, truncate(bad, 0));
        CALL("execve", name, execve(bad, NULL, NULL));
        CALL("utimensat", name, bad == NULL ? -1 : utimensat(root, bad, NULL, 0));
        CALL("SYS_openat2", name, syscall(SYS_openat2, root, bad, &(uint64_t[3]){0}, 24));
        CALL("SYS_openat2 how", name, syscall(SYS_openat2, root, "plain.txt", bad, 24));
        /* Where the answer should go. */
        char *place = (char *)bad;
        CALL("stat to", name, syscall(SYS_stat, at("plain.txt"), place));
        CALL("stat to, missing", name, syscall(SYS_stat, at("missing"), place));
        CALL("libc stat to", name, stat(at("plain.txt"), (void *)place));
        CALL("lstat to", name, lstat(at("links/relative"), (void *)place));
        CALL("fstat to", name, fstat(root, (void *)place));
        CALL("fstatat to", name, fstatat(root, "dir", (void *)place, 0));
        CALL("readlink to", name, readlink(at("links/relative"), place, 64));
        CALL("readlink to, missing", name, readlink(at("missing"), place, 64));
        CALL("readlinkat to", name, readlinkat(root, "links/relative", place, 64));
        if (bad != NULL)
            CALL("getcwd to", name, (chdir(P), getcwd(place, 4096) == NULL ? -1 : 0));
        CALL("SYS_getcwd to", name, syscall(SYS_getcwd, place, 4096));
        CALL("SYS_getdents64 to", name, syscall(SYS_getdents64, root, place, 4096));
        struct statx x;
        CALL("statx", name, bad == NULL ? -1 : statx(root, bad, 0, STATX_BASIC_STATS, &x));
        CALL("statx to", name, statx(root, "dir", 0, STATX_BASIC_STATS, (void *)place));
        CALL("SYS_statx to", name, syscall(SYS_statx, root, "dir", 0, STATX_BASIC_STATS, place));
        CALL("fopen", name, fopen(bad, "r") == NULL ? -1 : 0);
    }
    /* The last byte of a path is the last byte of a page. */
    const char *whole = at("plain.txt");
    char *edge = at_edge(whole, strlen(whole) + 1);
    OPEN("open at a page's edge", "", open(edge, O_RDONLY));
    STAT("stat at a page's edge", "", stat(edge, &s));
    CALL("access at a page's edge", "", access(edge, R_OK));
    /* A buffer that ends where the answer ends. */
    char *small = at_edge("0123456789abcdef", 12);
    CALL("readlink to a page's edge", "", readlink(at("links/relative"), small, 12));
    CALL("readlink past a page's edge", "", readlink(at("links/relative"), small, 64));
    char *space = at_edge(whole, sizeof(struct stat));
    CALL("stat to a page's edge", "", stat(whole, (struct stat *)space));
}
#endif

static void descriptors(void) {
    int file = open(at("plain.txt"), O_RDONLY), ends[2], closed = open(at("dir"), O_RDONLY);
    close(closed);
    pipe(ends);
    const int FDS[] = {-1, -2, closed, 99999, file, ends[0], AT_FDCWD, INT_MIN, INT_MAX};
    static const char *const FORMS[] = {"plain.txt", "", ".", "dir/same-a", "missing"};
    char out[64];
    for (int number = 0; number < COUNT(FDS); number++) {
        int fd = FDS[number];
        printf("-- descriptor %d\n", number);
        if (fd != ends[0])
            STAT("fstat", "", fstat(fd, &s));
        CALL("fchdir", "", fchdir(fd));
        CALL("getdents64", "", syscall(SYS_getdents64, fd, out, sizeof out));
        CALL("close_range backwards", "", syscall(436, 10, 5, 0));
        CALL("fchmod", "", fd == ends[0] ? -1 : fchmod(fd, 0600));
        for (int form = 0; form < COUNT(FORMS); form++) {
            const char *path = FORMS[form];
            OPEN("openat", path, openat(fd, path, O_RDONLY));
            STAT("fstatat", path, fstatat(fd, path, &s, 0));
            CALL("faccessat", path, faccessat(fd, path, R_OK, 0));
            CALL("readlinkat", path, readlinkat(fd, path, out, sizeof out));
            CALL("mkdirat", path, fd == AT_FDCWD ? -1 : mkdirat(fd, path, 0700));
            CALL("unlinkat", path, fd == AT_FDCWD ? -1 : unlinkat(fd, path, 0));
            /* An absolute path needs no descriptor. */
            OPEN("openat absolute", path, openat(fd, at(path), O_RDONLY));
            STAT("fstatat absolute", path, fstatat(fd, at(path), &s, 0));
            CALL("faccessat absolute", path, faccessat(fd, at(path), R_OK, 0));
        }
    }
    CALL("close -1", "", close(-1));
    CALL("close twice", "", close(closed));
    CALL("fdopendir -1", "", fdopendir(-1) == NULL ? -1 : 0);
}

/* Names and paths on both sides of the limits of 255 and 4095 bytes. */
static void lengths(int root) {
    static char path[3 * PATH_MAX];
    static const int LENGTHS[] = {254, 255, 256, 257, 300, 4094, 4095, 4096, 4097, 5000};
    for (int number = 0; number < COUNT(LENGTHS); number++) {
        for (int kind = 0; kind < 4; kind++) {
            size_t length = LENGTHS[number], prefix = kind >= 2 ? snprintf(path, sizeof path, "%s/", P) : 0;
            size_t used = prefix;
            if (length <= prefix + 10)
                continue;
            /* Odd kinds: one long name. Even ones: many slashes and dots before a short name. */
            for (; used < length; used++)
                path[used] = kind % 2 == 1 ? 'n' : used % 2 == prefix % 2 ? '.' : '/';
            path[used] = 0;
            if (kind % 2 == 0)
                memcpy(path + used - 9, "plain.txt", 9), path[used - 10] = '/';
            char name[64];
            snprintf(name, sizeof name, "%zu bytes kind %d", length, kind);
            OPEN("openat", name, openat(root, path, O_RDONLY));
            STAT("fstatat", name, fstatat(root, path, &s, 0));
            CALL("faccessat", name, faccessat(root, path, R_OK, 0));
            char out[64];
            CALL("readlinkat", name, readlinkat(root, path, out, sizeof out));
            CALL("mkdirat", name, kind % 2 == 0 ? -1 : mkdirat(root, path, 0700));
            if (kind >= 2) {
                CALL("chdir", name, chdir(path));
                CALL("opendir", name, opendir(path) == NULL ? -1 : 0);
                char resolved[PATH_MAX + 1];
                /* glibc takes longer ones, name by name. */
                if (length < PATH_MAX)
                    TEXT("realpath", name, realpath(path, resolved));
                CALL("fopen", name, fopen(path, "r") == NULL ? -1 : 0);
            }
        }
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int root = open_directory(P);
#ifdef __GLIBC__
    pointers(root);
#endif
    descriptors();
    lengths(root);
    return 0;
}
