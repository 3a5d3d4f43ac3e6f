/* The open family over every path with every flag; what the descriptor then is and reads. */
#include "probe.h"
#include "paths.h"

/* Of linux/openat2.h, which musl-gcc does not find. */
struct how {
    uint64_t flags, mode, resolve;
};
enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16, CACHED = 32 };

#ifdef __GLIBC__
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
int __open(const char *, int, ...);
int __open64(const char *, int, ...);
#endif

static const struct {
    const char *name;
    int flags;
    int changes;
} FLAGS[] = {
    {"r", O_RDONLY, 0},
    {"r|cloexec", O_RDONLY | O_CLOEXEC, 0},
    {"r|directory", O_RDONLY | O_DIRECTORY, 0},
    {"r|nofollow", O_RDONLY | O_NOFOLLOW, 0},
    {"r|nonblock|noctty", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0},
    {"r|noatime", O_RDONLY | O_NOATIME, 0},
    {"r|directory|nofollow", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0},
    {"r|sync|append", O_RDONLY | O_SYNC | O_APPEND, 0},
    {"path", O_PATH, 0},
    {"path|nofollow", O_PATH | O_NOFOLLOW, 0},
    {"path|directory", O_PATH | O_DIRECTORY | O_CLOEXEC, 0},
    {"path|w", O_PATH | O_WRONLY, 0},
    {"r|excl", O_RDONLY | O_EXCL, 0},
    {"w", O_WRONLY, 1},
    {"rw", O_RDWR, 1},
    {"w|append", O_WRONLY | O_APPEND, 1},
    {"w|directory", O_WRONLY | O_DIRECTORY, 1},
    {"w|nofollow", O_WRONLY | O_NOFOLLOW, 1},
    {"r|trunc", O_RDONLY | O_TRUNC, 1},
    {"w|trunc", O_WRONLY | O_TRUNC, 1},
    {"r|creat", O_RDONLY | O_CREAT, 1},
    {"w|creat", O_WRONLY | O_CREAT, 1},
    {"w|creat|trunc", O_WRONLY | O_CREAT | O_TRUNC, 1},
    {"w|creat|excl", O_WRONLY | O_CREAT | O_EXCL, 1},
    {"r|creat|excl|nofollow", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 1},
    {"w|creat|nofollow", O_WRONLY | O_CREAT | O_NOFOLLOW, 1},
    {"tmpfile", O_TMPFILE | O_RDWR, 1},
    {"tmpfile|r", O_TMPFILE | O_RDONLY, 1},
    {"3", O_ACCMODE, 1},
};

static int root_fd;

/* What belongs to the caller belongs to someone else in the store (docs/LIMITS.md). */
static int is_limit(int flags, const char *path) {
    return geteuid() != 0 && strncmp(path, "owners/", 7) == 0 && ((flags & O_NOATIME) || flags == O_ACCMODE);
}

static void one(const char *name, int flags, int root, const char *path) {
    char text[80];
    const char *absolute = at(path);
#define NAMED(call) (snprintf(text, sizeof text, "%s(%s)", call, name), text)
    OPEN(NAMED("open"), absolute, open(absolute, flags, 0600));
    OPEN(NAMED("openat"), path, openat(root, path, flags, 0600));
    OPEN(NAMED("SYS_open"), absolute, syscall(SYS_open, absolute, flags, 0600));
    OPEN(NAMED("SYS_openat"), path, syscall(SYS_openat, root, path, flags, 0600));
#ifdef __GLIBC__
    OPEN(NAMED("open64"), absolute, open64(absolute, flags, 0600));
    OPEN(NAMED("openat64"), path, openat64(root, path, flags, 0600));
    OPEN(NAMED("__open"), absolute, __open(absolute, flags, 0600));
    OPEN(NAMED("__open64"), absolute, __open64(absolute, flags, 0600));
    if (!(flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))) {
        OPEN(NAMED("__open_2"), absolute, __open_2(absolute, flags));
        OPEN(NAMED("__open64_2"), absolute, __open64_2(absolute, flags));
        OPEN(NAMED("__openat_2"), path, __openat_2(root, path, flags));
        OPEN(NAMED("__openat64_2"), path, __openat64_2(root, path, flags));
    }
#endif
}

static long openat2_(int fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve, size_t size) {
    struct {
        struct how how;
        uint64_t more[2];
    } request = {{flags, mode, resolve}, {0, 0}};
    return syscall(SYS_openat2, fd, path, &request, size);
}

static void by_openat2(int root, const char *path) {
    OPEN("openat2", path, openat2_(root, path, O_RDONLY, 0, 0, sizeof(struct how)));
    OPEN("openat2 larger", path, openat2_(root, path, O_RDONLY, 0, 0, sizeof(struct how) + 8));
    OPEN("openat2 too small", path, openat2_(root, path, O_RDONLY, 0, 0, 8));
    OPEN("openat2 mode without creat", path, openat2_(root, path, O_RDONLY, 0600, 0, sizeof(struct how)));
    OPEN("openat2 unknown flag", path, openat2_(root, path, 1ull << 40, 0, 0, sizeof(struct how)));
}

/* What RESOLVE_* forbids, from `fd`, which is called `from`; each opened file by its number. */
static void restricted(const char *from, int fd, const char *path) {
    static const uint64_t RESOLVE[] = {NO_XDEV,           NO_MAGICLINKS,         NO_SYMLINKS,           BENEATH,           IN_ROOT, CACHED,
                                       BENEATH | NO_XDEV, IN_ROOT | NO_SYMLINKS, BENEATH | NO_SYMLINKS, IN_ROOT | NO_XDEV, 24,      64};
    static const int WAYS[] = {O_RDONLY | O_NONBLOCK, O_PATH | O_NOFOLLOW, O_RDONLY | O_CREAT | O_NONBLOCK};
    for (int number = 0; number < COUNT(RESOLVE); number++)
        for (int way = 0; way < COUNT(WAYS); way++) {
            if ((WAYS[way] & O_CREAT) && (!changes || fd != root_fd || leads_out(path)))
                continue;
            char name[64];
            snprintf(name, sizeof name, "openat2 from %s, flags %o, resolve %llx", from, WAYS[way], (unsigned long long)RESOLVE[number]);
            errno = 0;
            int opened = openat2_(fd, path, WAYS[way], WAYS[way] & O_CREAT ? 0600 : 0, RESOLVE[number], sizeof(struct how)), error = errno;
            /* EAGAIN wants another try: something was renamed on the machine; of CACHED, it was not cached. */
            for (int tries = 0; tries < 1000 && opened == -1 && error == EAGAIN && !(WAYS[way] & O_CREAT); tries++) {
                errno = 0;
                opened = openat2_(fd, path, WAYS[way], 0, RESOLVE[number] & ~CACHED, sizeof(struct how)), error = errno;
            }
            if (opened < 0) {
                label(name, path);
                result(opened, error);
            } else {
                char link[64], target[PATH_MAX + 1] = "";
                snprintf(link, sizeof link, "/proc/self/fd/%d", opened);
                readlink(link, target, PATH_MAX);
                TEXT(name, path, target);
                close(opened);
            }
        }
}

#define STREAM(name, path, expression)        \
    do {                                      \
        errno = 0;                            \
        FILE *stream_ = (expression);         \
        int error_ = errno;                   \
        label(name, path);                    \
        if (stream_ == NULL)                  \
            printf("NULL %s\n", error_name(error_)); \
        else {                                \
            describe_fd(fileno(stream_));     \
            fclose(stream_);                  \
        }                                     \
    } while (0)

static void streams(const char *path, int changing) {
    static const char *const MODES[] = {"r", "re", "rb", "rm", "r,ccs=UTF-8", "z",
#ifdef __GLIBC__
                                        "", /* musl takes it for "w" */
#endif
    };
    static const char *const CHANGING[] = {"r+", "w", "a", "w+", "a+", "wx"};
    for (int number = 0; number < COUNT(MODES); number++) {
        char name[32];
        snprintf(name, sizeof name, "fopen %s", MODES[number]);
        STREAM(name, path, fopen(path, MODES[number]));
    }
    for (int number = 0; changing && number < COUNT(CHANGING); number++) {
        char name[32];
        snprintf(name, sizeof name, "fopen %s", CHANGING[number]);
        STREAM(name, path, fopen(path, CHANGING[number]));
    }
#ifdef __GLIBC__
    STREAM("fopen64", path, fopen64(path, "r"));
    STREAM("freopen64", path, freopen64(path, "r", fopen("/dev/null", "r")));
#endif
    STREAM("freopen", path, freopen(path, "r", fopen("/dev/null", "r")));
    FILE *stream = fopen(path, "r");
    if (stream != NULL) {
        char line[64];
        TEXT("fgets", path, fgets(line, sizeof line, stream));
        CALL("fseek", path, fseek(stream, 1, SEEK_SET));
        CALL("fgetc", path, fgetc(stream));
        CALL("ftell", path, ftell(stream));
        STREAM("freopen NULL", path, freopen(NULL, "r", stream));
    }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int root = root_fd = open_directory(P), links = open_directory(at("links")), above = open_directory(at(".."));
    int file = open(at("plain.txt"), O_RDONLY);
    for (int number = 0; number < COUNT(PATHS); number++) {
        /* A file with a 5 GiB hole is read by one way only. */
        int large = strcmp(PATHS[number], "big-sparse") == 0;
        for (int way = 0; way < COUNT(FLAGS); way++)
            if (((changes && !leads_out(PATHS[number])) || !FLAGS[way].changes) && (!large || way == 0 || FLAGS[way].flags & O_PATH) &&
                (limits || !is_limit(FLAGS[way].flags, PATHS[number])))
                one(FLAGS[way].name, FLAGS[way].flags, root, PATHS[number]);
        if (large)
            continue;
        by_openat2(root, PATHS[number]);
        restricted("P", root, PATHS[number]);
        restricted("links", links, PATHS[number]);
        char below[PATH_MAX + 600];
        snprintf(below, sizeof below, "tree/%s", PATHS[number]);
        restricted("above", above, below);
        restricted("nowhere", AT_FDCWD, at(PATHS[number]));
        restricted("/", above, at(PATHS[number]));
        if (number < 20)
            restricted("a file", file, PATHS[number]);
        streams(at(PATHS[number]), changes && !leads_out(PATHS[number]));
        if (changes && !leads_out(PATHS[number])) {
            OPEN("creat", PATHS[number], creat(at(PATHS[number]), 0600));
#ifdef __GLIBC__
            OPEN("creat64", PATHS[number], creat64(at(PATHS[number]), 0600));
#endif
            OPEN("SYS_creat", PATHS[number], syscall(SYS_creat, at(PATHS[number]), 0600));
        }
    }
    return 0;
}
