/* readlink, realpath and what /proc says of descriptors. */
#include "probe.h"
#include "paths.h"

#ifdef __GLIBC__
char *__realpath_chk(const char *, char *, size_t);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
#endif

static char target[PATH_MAX + 1];

/* Calls what fills `target`, of which the answer is the length. */
#define LINK(name, path, expression)          \
    do {                                      \
        memset(target, '#', sizeof target);   \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        int error_ = errno;                   \
        label(name, path);                    \
        if (answer_ < 0 || error_ != 0)       \
            result(answer_, error_);          \
        else {                                \
            printf("%ld, next byte %c: ", answer_, target[answer_]); \
            target[answer_] = 0;              \
            print_text(target);               \
            putchar('\n');                    \
        }                                     \
    } while (0)

static void canonical(const char *path) {
    char *allocated = NULL;
    TEXT("realpath", path, realpath(path, target));
    TEXT("realpath NULL", path, allocated = realpath(path, NULL));
    free(allocated);
#ifdef __GLIBC__
    TEXT("canonicalize_file_name", path, allocated = canonicalize_file_name(path));
    free(allocated);
    TEXT("__realpath_chk", path, __realpath_chk(path, target, sizeof target));
#endif
}

static void one(int root, const char *path) {
    const char *absolute = at(path);
#ifdef __GLIBC__
    static const size_t SIZES[] = {PATH_MAX, 1, 2, 9, 0};
#else /* of no bytes, musl asks for one */
    static const size_t SIZES[] = {PATH_MAX, 1, 2, 9};
#endif
    for (int number = 0; number < COUNT(SIZES); number++) {
        LINK("readlink", absolute, readlink(absolute, target, SIZES[number]));
        LINK("readlinkat", path, readlinkat(root, path, target, SIZES[number]));
    }
    LINK("SYS_readlink", absolute, syscall(SYS_readlink, absolute, target, PATH_MAX));
    LINK("SYS_readlink -1", absolute, syscall(SYS_readlink, absolute, target, -1));
    LINK("SYS_readlinkat", path, syscall(SYS_readlinkat, root, path, target, PATH_MAX));
    canonical(absolute);
#ifdef __GLIBC__
    LINK("__readlink_chk", absolute, __readlink_chk(absolute, target, 100, sizeof target));
    LINK("__readlinkat_chk", path, __readlinkat_chk(root, path, target, 100, sizeof target));
#endif
    int fd = open(absolute, O_PATH | O_NOFOLLOW);
    if (fd != -1) {
        LINK("readlinkat empty", path, readlinkat(fd, "", target, PATH_MAX));
        LINK("readlinkat by file", path, readlinkat(fd, "relative", target, PATH_MAX));
        close(fd);
    }
}

/* /proc/self/fd/N is a link to the path that was opened, and a way to open it again. */
static void by_proc(const char *path) {
    static const int WAYS[] = {O_RDONLY | O_NONBLOCK, O_PATH, O_PATH | O_NOFOLLOW};
    for (int way = 0; way < COUNT(WAYS); way++) {
        int fd = open(at(path), WAYS[way]);
        if (fd == -1)
            continue;
        char proc[64];
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        LINK("readlink of proc", path, readlink(proc, target, PATH_MAX));
        TEXT("realpath of proc", path, realpath(proc, target));
        STAT("stat of proc", path, stat(proc, &s));
        OPEN("open of proc", path, open(proc, O_RDONLY));
        snprintf(proc, sizeof proc, "/dev/fd/%d", fd);
        LINK("readlink of dev", path, readlink(proc, target, PATH_MAX));
        OPEN("open of dev", path, open(proc, O_RDONLY));
        close(fd);
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int root = open_directory(P);
    for (int number = 0; number < COUNT(PATHS); number++)
        one(root, PATHS[number]);
    static const char *const NEAR[] = {"dir", "plain.txt", "links/relative", "links/dangling", "dir/sub/../same-a", "links/out/file", "modes/file-0755", "hard/second", "dir/same-b"};
    for (int number = 0; number < COUNT(NEAR); number++)
        by_proc(NEAR[number]);
    CALL("chdir", "links", chdir(at("links")));
    for (int number = 0; number < COUNT(NEAR); number++)
        one(root, NEAR[number]);
    TEXT("realpath relative", "to-dir/sub", realpath("to-dir/sub", target));
    TEXT("realpath relative", "..", realpath("..", target));
    TEXT("realpath relative", "../..", realpath("../..", target));
    TEXT("realpath empty", "", realpath("", target));
    LINK("readlink relative", "relative", readlink("relative", target, PATH_MAX));
    LINK("readlink of cwd", "/proc/self/cwd", readlink("/proc/self/cwd", target, PATH_MAX));
    TEXT("realpath of cwd", "/proc/self/cwd/relative", realpath("/proc/self/cwd/relative", target));
    OPEN("open by cwd", "/proc/self/cwd/relative", open("/proc/self/cwd/relative", O_RDONLY));
    return 0;
}
