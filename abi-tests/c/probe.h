/* What every probe shares: one line a call, the same text wherever the kernel says the same.
 *
 * A probe is run as `probe P` with P the served tree. It prints what each call answered, so
 * that two runs compare line by line. PROBE_EXACT=1: also the fields of stat that only an exact
 * manifest keeps. PROBE_CHANGES=1: also calls that would change a writable tree. PROBE_LIMITS=1: also
 * what docs/LIMITS.md says is answered differently. */
#ifndef PROBE_H
#define PROBE_H
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const char *P;
static int exact, changes, limits;

static void begin(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: probe P\n");
        exit(2);
    }
    P = argv[1];
    exact = getenv("PROBE_EXACT") != NULL;
    changes = getenv("PROBE_CHANGES") != NULL;
    limits = getenv("PROBE_LIMITS") != NULL;
    /* Written at once and without stdio's own fd, so that a crash loses no line. */
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
}

static const char *error_name(int number) {
    static char buffer[32];
    switch (number) {
#define NAME(e) case e: return #e;
        NAME(EPERM) NAME(ENOENT) NAME(EIO) NAME(EBADF) NAME(EACCES) NAME(EFAULT) NAME(EBUSY) NAME(EEXIST)
        NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL) NAME(ENFILE) NAME(EMFILE) NAME(ENOTTY)
        NAME(ETXTBSY) NAME(EFBIG) NAME(ENOSPC) NAME(ESPIPE) NAME(EROFS) NAME(EMLINK) NAME(EPIPE) NAME(ERANGE)
        NAME(ENAMETOOLONG) NAME(ENOSYS) NAME(ENOTEMPTY) NAME(ELOOP) NAME(EOVERFLOW) NAME(EOPNOTSUPP) NAME(ENOMEM)
        NAME(EAGAIN) NAME(ENODATA) NAME(E2BIG) NAME(ENXIO) NAME(ENOEXEC) NAME(ECHILD) NAME(ECONNREFUSED)
        NAME(EADDRINUSE) NAME(ESRCH)
#undef NAME
    }
    snprintf(buffer, sizeof buffer, "errno %d", number);
    return buffer;
}

/* Prints bytes so that each stays on its line; long ones by their length and ends. */
static void print_text(const char *text) {
    size_t length = strlen(text);
    for (size_t at = 0; at < length; at++) {
        unsigned char byte = text[at];
        if (length > 300 && at == 60) {
            printf("...%zu bytes...", length);
            at = length - 60;
        }
        if (byte < 32 || byte > 126 || byte == '\\')
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
}

__attribute__((unused)) static void label(const char *call, const char *path) {
    printf("%s ", call);
    if (path == NULL)
        printf("NULL");
    else
        print_text(path);
    printf(" = ");
}

/* A result of the kernel's kind: at least 0, or -1 and errno. */
__attribute__((unused)) static void result(long value, int error) {
    if (value == -1)
        printf("-1 %s\n", error_name(error));
    else if (error != 0)
        printf("%ld, but errno became %s\n", value, error_name(error));
    else
        printf("%ld\n", value);
}

/* Calls `expression`, says what it answered. */
#define CALL(name, path, expression)          \
    do {                                      \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        int error_ = errno;                   \
        label(name, path);                    \
        result(answer_, error_);              \
    } while (0)

/* The same for what gives a string or NULL; `errno` counts on failure only. */
#define TEXT(name, path, expression)          \
    do {                                      \
        errno = 0;                            \
        const char *answer_ = (expression);   \
        int error_ = errno;                   \
        label(name, path);                    \
        if (answer_ == NULL)                  \
            printf("NULL %s\n", error_name(error_)); \
        else {                                \
            print_text(answer_);              \
            putchar('\n');                    \
        }                                     \
    } while (0)

static uint64_t fnv(uint64_t hash, const void *bytes, size_t count) {
    for (size_t at = 0; at < count; at++)
        hash = (hash ^ ((const unsigned char *)bytes)[at]) * 0x100000001b3u;
    return hash;
}
#define FNV_START 0xcbf29ce484222325u

static void print_time(const char *name, struct timespec time) {
    printf(" %s=%lld.%09ld", name, (long long)time.tv_sec, time.tv_nsec);
}

__attribute__((unused)) static void print_stat(const struct stat *s) {
    printf("mode=%o nlink=%lu uid=%u gid=%u rdev=%lu size=%lld blksize=%ld", s->st_mode,
           (unsigned long)s->st_nlink, s->st_uid, s->st_gid, (unsigned long)s->st_rdev, (long long)s->st_size,
           (long)s->st_blksize);
    print_time("mtime", s->st_mtim);
    if (exact) {
        printf(" ino=%llu blocks=%lld", (unsigned long long)s->st_ino, (long long)s->st_blocks);
        print_time("atime", s->st_atim);
        print_time("ctime", s->st_ctim);
    }
    putchar('\n');
}

/* Calls what fills `struct stat s`. */
#define STAT(name, path, expression)          \
    do {                                      \
        struct stat s;                        \
        memset(&s, 0xee, sizeof s);           \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        int error_ = errno;                   \
        label(name, path);                    \
        if (answer_ == 0 && error_ == 0)      \
            print_stat(&s);                   \
        else                                  \
            result(answer_, error_);          \
    } while (0)

/* The content that `fd` reads, as one number. */
static uint64_t content(int fd, long long *bytes) {
    char buffer[65536];
    uint64_t hash = FNV_START;
    ssize_t count;
    *bytes = 0;
    while (*bytes < (8 << 20) && (count = read(fd, buffer, sizeof buffer)) > 0) {
        hash = fnv(hash, buffer, count);
        *bytes += count;
    }
    return hash;
}

/* All that can be asked of an open descriptor without changing it. */
__attribute__((unused)) static void describe_fd(int fd) {
    struct stat s;
    printf("fd %d ", fd);
    if (fstat(fd, &s) == -1) {
        printf("fstat: %s\n", error_name(errno));
        return;
    }
    printf("getfl=%o getfd=%o ", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    if (S_ISREG(s.st_mode) && !(fcntl(fd, F_GETFL) & O_PATH) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {
        long long bytes;
        uint64_t hash = content(fd, &bytes);
        printf("content=%016llx/%lld at=%lld ", (unsigned long long)hash, bytes, (long long)lseek(fd, 0, SEEK_CUR));
    }
    print_stat(&s);
}

/* Calls what gives a descriptor, describes it and closes it. */
#define OPEN(name, path, expression)          \
    do {                                      \
        errno = 0;                            \
        int fd_ = (int)(expression);          \
        int error_ = errno;                   \
        label(name, path);                    \
        if (fd_ < 0 || error_ != 0)           \
            result(fd_, error_);              \
        else                                  \
            describe_fd(fd_);                 \
        if (fd_ >= 0)                         \
            close(fd_);                       \
    } while (0)

/* P joined with `rel`, in one of a few static buffers. */
__attribute__((unused)) static const char *at(const char *rel) {
    static char buffers[8][2 * PATH_MAX + 4096];
    static int next;
    char *buffer = buffers[next = (next + 1) % COUNT(buffers)];
    snprintf(buffer, sizeof buffers[0], "%s/%s", P, rel);
    return buffer;
}

/* A function of libc by name, for those that headers do not declare any more. */
__attribute__((unused)) static void *named(const char *name) {
    void *function = dlsym(RTLD_DEFAULT, name);
    if (function == NULL) {
        printf("no %s in this libc\n", name);
        exit(2);
    }
    return function;
}

__attribute__((unused)) static int open_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) {
        printf("open directory %s: %s\n", path, error_name(errno));
        exit(2);
    }
    return fd;
}

#endif
