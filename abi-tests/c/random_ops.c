/* Carries out a script of operations, one a line: operation, slot, number, path (tab-separated).
 * Six slots hold descriptors that later lines use; the working directory stays where it was led.
 * Prints one line an operation. Usage: random_ops P script */
#include "probe.h"
#include <glob.h>

static int slots[6];
static int line_number;

static void say(const char *operation, const char *path) {
    printf("%d ", line_number);
    label(operation, path);
}

static int compare(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Names and types of a directory stream, in order of names, as one number. */
static void sum_names(char **names, int count) {
    uint64_t hash = FNV_START;
    qsort(names, count, sizeof *names, compare);
    for (int at = 0; at < count; at++) {
        hash = fnv(hash, names[at], strlen(names[at]) + 1);
        free(names[at]);
    }
    printf("%d entries %016llx\n", count, (unsigned long long)hash);
}

static char *with_type(const char *name, int type) {
    char *text;
    return asprintf(&text, "%d %s", type, name) == -1 ? NULL : text;
}

static void list(const char *operation, const char *path, DIR *dir, int error) {
    char *names[512];
    int count = 0;
    struct dirent *entry;
    say(operation, path);
    if (dir == NULL) {
        printf("NULL %s\n", error_name(error));
        return;
    }
    while (count < 512 && (entry = readdir(dir)) != NULL)
        names[count++] = with_type(entry->d_name, entry->d_type);
    sum_names(names, count);
}

static void getdents(const char *path, int fd, size_t size) {
    static char buffer[4096] __attribute__((aligned(8)));
    char *names[512];
    int count = 0;
    long got;
    say("getdents64", path);
    lseek(fd, 0, SEEK_SET);
    errno = 0;
    while (count < 400 && (got = syscall(SYS_getdents64, fd, buffer, size)) > 0)
        for (long at = 0; at < got; at += *(unsigned short *)(buffer + at + 16))
            names[count++] = with_type(buffer + at + 19, buffer[at + 18]);
    if (got < 0)
        printf("%s after ", error_name(errno));
    sum_names(names, count);
}

/* Reads an entry, remembers where it stood, goes on, comes back. */
static void seek_directory(const char *path) {
    DIR *dir = opendir(path);
    say("seekdir", path);
    if (dir == NULL) {
        printf("NULL %s\n", error_name(errno));
        return;
    }
    readdir(dir);
    long here = telldir(dir);
    struct dirent *entry = readdir(dir);
    char name[256] = "";
    snprintf(name, sizeof name, "%s", entry == NULL ? "" : entry->d_name);
    while (readdir(dir) != NULL)
        ;
    seekdir(dir, here);
    entry = readdir(dir);
    printf("%s\n", strcmp(name, entry == NULL ? "" : entry->d_name) == 0 ? "came back" : "lost");
    closedir(dir);
}

static void keep(int slot, int fd) {
    if (slots[slot] >= 0)
        close(slots[slot]);
    slots[slot] = fd;
}

#define SAY(name, expression)                 \
    do {                                      \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        int error_ = errno;                   \
        say(name, path);                      \
        result(answer_, error_);              \
    } while (0)

#define SAY_STAT(name, expression)            \
    do {                                      \
        printf("%d ", line_number);           \
        STAT(name, path, expression);         \
    } while (0)

#define SAY_TEXT(name, expression)            \
    do {                                      \
        printf("%d ", line_number);           \
        TEXT(name, path, expression);         \
    } while (0)

static void print_statx_of(int fd, const char *path, int flags) {
#ifdef __GLIBC__
    struct statx x;
    memset(&x, 0, sizeof x);
    errno = 0;
    int answer = statx(fd, path, flags, STATX_BASIC_STATS, &x), error = errno;
    say("statx", path);
    if (answer != 0)
        result(answer, error);
    else
        printf("%o %u %u %u %llu %lld.%09u\n", x.stx_mode, x.stx_nlink, x.stx_uid, x.stx_gid, (unsigned long long)x.stx_size,
               (long long)x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec);
#endif
}

static int is_root(int fd, const char *path) {
    struct stat root, here;
    return stat(P, &root) == 0 && (fstatat(fd, path, &here, 0) == 0 || stat(path, &here) == 0) && here.st_ino == root.st_ino && here.st_dev == root.st_dev;
}

static const int FLAGS[] = {O_RDONLY, O_RDONLY, O_RDONLY, O_RDONLY | O_CLOEXEC, O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_PATH,
                            O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY, O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL,
                            O_RDONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC, O_RDONLY | O_NOATIME, O_TMPFILE | O_RDWR};
static const int AT_FLAGS[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0, AT_SYMLINK_NOFOLLOW};

static void one(const char *operation, int slot, int number, const char *path) {
    static char buffer[1 << 16];
    int fd = slots[slot], at_flags = AT_FLAGS[number % COUNT(AT_FLAGS)];
#define IS(name) (strcmp(operation, name) == 0)
    /* What happens to a mount point itself is the mount's. */
    if ((IS("rename") || IS("rmdir") || IS("unlink") || IS("link")) && is_root(fd, path))
        return;
    if (IS("open") || IS("openat")) {
        int flags = FLAGS[number % COUNT(FLAGS)];
        errno = 0;
        int opened = IS("open") ? open(path, flags, 0600) : openat(fd, path, flags, 0600), error = errno;
        say(operation, path);
        printf("%o ", flags);
        result(opened, error);
        if (opened >= 0)
            keep(slot, opened);
    } else if (IS("read")) {
        /* Of a directory, what is said depends on where its file system stands. */
        struct stat s;
        if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode))
            return;
        errno = 0;
        long count = read(fd, buffer, number % 3000), error = errno;
        say("read", "");
        printf("%016llx ", (unsigned long long)fnv(FNV_START, buffer, count > 0 ? count : 0));
        result(count, error);
    } else if (IS("pread"))
        SAY("pread", pread(fd, buffer, number % 300, number % 5000));
    else if (IS("lseek"))
        /* Offsets of directories are the file system's own, but for the start. */
        SAY("lseek", lseek(fd, 0, SEEK_SET));
    else if (IS("fstat"))
        SAY_STAT("fstat", fstat(fd, &s));
    else if (IS("close")) {
        SAY("close", close(fd));
        slots[slot] = -1;
    } else if (IS("dup")) {
        int copy = number % 3 == 0 ? dup(fd) : number % 3 == 1 ? fcntl(fd, F_DUPFD, 10) : dup3(fd, 40 + number % 5, O_CLOEXEC);
        SAY("dup", copy);
        if (copy >= 0)
            keep((slot + 1) % 6, copy);
    } else if (IS("stat"))
        SAY_STAT("stat", stat(path, &s));
    else if (IS("lstat"))
        SAY_STAT("lstat", lstat(path, &s));
    else if (IS("fstatat"))
        SAY_STAT("fstatat", fstatat(fd, number % 7 == 0 ? "" : path, &s, at_flags));
    else if (IS("statx"))
        print_statx_of(number % 2 ? fd : AT_FDCWD, path, at_flags);
    else if (IS("rawstat"))
        SAY_STAT("SYS_newfstatat", syscall(SYS_newfstatat, fd, path, &s, at_flags));
    else if (IS("access"))
        SAY("access", access(path, number % 8));
    else if (IS("faccessat"))
        SAY("faccessat", faccessat(fd, path, number % 8, number % 3 == 0 ? AT_EACCESS : number % 5 == 0 ? AT_SYMLINK_NOFOLLOW : 0));
    else if (IS("euidaccess"))
#ifdef __GLIBC__
        SAY("euidaccess", euidaccess(path, number % 8));
#else
        ;
#endif
    else if (IS("readlink") || IS("readlinkat")) {
        memset(buffer, 0, PATH_MAX);
        SAY(operation, IS("readlink") ? readlink(path, buffer, 1 + number % 400) : readlinkat(fd, path, buffer, 1 + number % 400));
        SAY_TEXT("target", buffer);
    } else if (IS("list")) {
        errno = 0;
        DIR *dir = opendir(path);
        list("opendir", path, dir, errno);
        if (dir != NULL)
            closedir(dir);
    } else if (IS("listfd")) {
        errno = 0;
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY);
        DIR *dir = fdopendir(copy);
        list("fdopendir", "", dir, errno);
        if (dir != NULL)
            closedir(dir);
        else if (copy != -1)
            close(copy);
    } else if (IS("getdents"))
        getdents("", fd, 280 + number % 3000);
    else if (IS("seekdir"))
        seek_directory(path);
    else if (IS("scandir")) {
        struct dirent **found = NULL;
        char *names[512];
        errno = 0;
        int count = scandir(path, &found, NULL, alphasort), error = errno;
        say("scandir", path);
        for (int at = 0; at < count && at < 512; at++) {
            names[at] = with_type(found[at]->d_name, found[at]->d_type);
            free(found[at]);
        }
        free(found);
        if (count < 0)
            result(count, error);
        else
            sum_names(names, count);
    } else if (IS("glob")) {
        glob_t found;
        snprintf(buffer, sizeof buffer, "%s%s", path, number % 2 ? "/*" : "*");
        int answer = glob(buffer, number % 3 ? 0 : GLOB_MARK, NULL, &found);
        say("glob", buffer);
        uint64_t hash = FNV_START;
        for (size_t at = 0; answer == 0 && at < found.gl_pathc; at++)
            hash = fnv(hash, found.gl_pathv[at], strlen(found.gl_pathv[at]));
        printf("%d %zu %016llx\n", answer, answer == 0 ? found.gl_pathc : 0, (unsigned long long)hash);
        if (answer == 0)
            globfree(&found);
    } else if (IS("chdir"))
        SAY("chdir", chdir(path));
    else if (IS("fchdir"))
        SAY("fchdir", fchdir(fd));
    else if (IS("home"))
        SAY("chdir home", chdir(P));
    else if (IS("getcwd"))
        SAY_TEXT("getcwd", getcwd(buffer, number % 4 == 0 ? number % 100 + 1 : sizeof buffer));
    else if (IS("realpath"))
        SAY_TEXT("realpath", realpath(path, buffer));
    else if (IS("fopen")) {
        FILE *stream = fopen(path, number % 5 == 0 ? "r+" : number % 7 == 0 ? "w" : "r");
        SAY_TEXT("fopen", stream == NULL ? NULL : fgets(buffer, 100, stream) == NULL ? "nothing" : buffer);
        if (stream != NULL)
            fclose(stream);
    } else if (IS("mkdir"))
        SAY("mkdir", mkdir(path, 0700));
    else if (IS("unlink"))
        SAY("unlink", unlink(path));
    else if (IS("rmdir"))
        SAY("rmdir", rmdir(path));
    else if (IS("rename"))
        SAY("rename", renameat(fd, path, AT_FDCWD, at("other")));
    else if (IS("symlink"))
        SAY("symlink", symlink("x", path));
    else if (IS("link"))
        SAY("link", linkat(fd, path, AT_FDCWD, at("other"), number % 2 ? AT_SYMLINK_FOLLOW : 0));
    else if (IS("chmod"))
        SAY("chmod", number % 2 ? chmod(path, 0600) : fchmod(fd, 0600));
    else if (IS("truncate"))
        SAY("truncate", truncate(path, number % 100));
    else if (IS("utimens"))
        SAY("utimensat", utimensat(fd, path, NULL, number % 2 ? AT_SYMLINK_NOFOLLOW : 0));
    else if (IS("proc")) {
        struct stat s;
        snprintf(buffer, 64, "/proc/self/fd/%d", fd);
        memset(buffer + 64, 0, PATH_MAX);
        /* What stands for a pipe or a socket has a number in its name. */
        if (fd >= 0 && fstat(fd, &s) == 0)
            SAY("readlink of proc", readlink(buffer, buffer + 64, PATH_MAX));
        SAY_TEXT("target", buffer + 64);
    } else if (IS("mmap")) {
        void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        struct stat s;
        SAY("mmap", map == MAP_FAILED ? -1 : 0);
        if (map != MAP_FAILED) {
            size_t size = fstat(fd, &s) == 0 && s.st_size < 4096 ? s.st_size : 4096;
            printf("%016llx\n", (unsigned long long)fnv(FNV_START, map, size));
            munmap(map, 4096);
        }
    } else if (IS("fork")) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            SAY_STAT("stat in the child", stat(path, &s));
            SAY_TEXT("getcwd in the child", getcwd(buffer, sizeof buffer));
            SAY_STAT("fstat in the child", fstat(fd, &s));
            _exit(0);
        }
        waitpid(child, NULL, 0);
    } else {
        printf("unknown operation %s\n", operation);
        exit(2);
    }
}

int main(int argc, char **argv) {
    static char line[1 << 16];
    begin(argc, argv);
    FILE *script = fopen(argv[2], "r");
    if (script == NULL)
        return 2;
    memset(slots, -1, sizeof slots);
    umask(0);
    chdir(P);
    slots[0] = open(P, O_RDONLY | O_DIRECTORY);
    while (fgets(line, sizeof line, script) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *operation = strsep(&rest, "\t"), *slot = strsep(&rest, "\t"), *number = strsep(&rest, "\t");
        line_number++;
        one(operation, atoi(slot), atoi(number), rest);
    }
    printf("end\n");
    return 0;
}
