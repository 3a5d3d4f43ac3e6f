/* Operations of the oracle on descriptors: open and its kin, read, seek, map, send, duplicate, close, streams. */
#include "oracle.h"
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static const int FLAGS[] = {O_RDONLY, O_RDONLY, O_RDONLY, O_RDONLY | O_CLOEXEC, O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_PATH,
                            O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY, O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL,
                            O_RDONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC, O_RDONLY | O_NOATIME, O_TMPFILE | O_RDWR, O_RDONLY | O_NONBLOCK,
                            O_RDONLY | O_CREAT | O_DIRECTORY, O_WRONLY | O_APPEND, O_PATH | O_CREAT | O_EXCL, O_RDONLY | O_CREAT | O_NOFOLLOW,
                            O_RDONLY | O_NOFOLLOW | O_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 3, O_RDONLY | O_SYNC, O_WRONLY | O_TRUNC};

struct how { uint64_t flags, mode, resolve; };

int __open_2(const char *, int), __open64_2(const char *, int), __openat_2(int, const char *, int), __openat64_2(int, const char *, int);

/* Keeps a new descriptor and says what it is. */
static void opened(struct script *s, const char *call, int flags, int fd, int error) {
    if (fd < 0 || error != 0) {
        say(s, "%o ", flags);
        answer(s, call, fd < 0 ? fd : 0, error);
    }
    if (fd < 0)
        return;
    struct stat status;
    /* docs/LIMITS.md: who owns a file need not own its blob, so O_NOATIME is not always shown. */
    say(s, "%d %s %o: getfl %o getfd %d ", s->line, call, flags, fcntl(fd, F_GETFL) & ~O_NOATIME, fcntl(fd, F_GETFD));
    if (fstat(fd, &status) == 0)
        say_status(s, &status);
    keep(s, s->slot, fd);
}

/* docs/LIMITS.md: access mode 3 asks for both permissions, and only root has them on a blob. */
static int pick_flags(struct script *s) {
    int flags = FLAGS[pick(s, COUNT(FLAGS))];
    return (flags & O_ACCMODE) == O_ACCMODE && geteuid() != 0 ? flags & ~O_ACCMODE : flags;
}

static void op_open(struct script *s) {
    int flags = pick_flags(s), fd = from(s), opened_fd;
    int creates = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
#define OPENED(name, expression) do { errno = 0; opened_fd = (expression); opened(s, name, flags, opened_fd, errno); } while (0)
    switch (pick(s, 14)) {
    case 0: OPENED("open64", open64(s->path, flags, 0600)); break;
    case 1: case 2: OPENED("openat", openat(fd, s->path, flags, 0600)); break;
    case 3: OPENED("openat64", openat64(fd, s->path, flags, 0600)); break;
    case 4: OPENED("SYS_open", (int)syscall(SYS_open, s->path, flags, 0600)); break;
    case 5: OPENED("SYS_openat", (int)syscall(SYS_openat, fd, s->path, flags, 0600)); break;
    case 7: flags = O_WRONLY | O_CREAT | O_TRUNC; OPENED("creat", creat(s->path, 0600)); break;
#ifdef __GLIBC__
    case 8: if (!creates) { OPENED("__open_2", __open_2(s->path, flags)); break; } /* fallthrough */
    case 9: if (!creates) { OPENED("__openat_2", __openat_2(fd, s->path, flags)); break; } /* fallthrough */
    case 10: if (!creates) { OPENED("__open64_2", __open64_2(s->path, flags)); break; } /* fallthrough */
#endif
    default: OPENED("open", open(s->path, flags, 0600));
    }
}

/* openat2, mostly with restrictions of the walk. */
static void op_resolve(struct script *s) {
    static const int RESOLVE[] = {0, 0, 0, 0x01, 0x02, 0x04, 0x08, 0x10, 0x08 | 0x02, 0x04 | 0x08, 0x18, 0x40};
    int flags = pick_flags(s), creates = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE, opened_fd, fd = from(s);
    struct how how = {flags, creates ? 0600 : 0, RESOLVE[pick(s, COUNT(RESOLVE))]};
    size_t size = pick(s, 30) == 0 ? 8 : sizeof how;
    char call[32];
    snprintf(call, sizeof call, "openat2 %llx", (unsigned long long)how.resolve);
    /* EAGAIN: somebody has renamed or mounted something, somewhere, in the meantime. */
    for (int tries = 0; tries < 1000; tries++) {
        errno = 0;
        opened_fd = syscall(437, fd, s->path, &how, size);
        if (opened_fd != -1 || errno != EAGAIN)
            break;
    }
    opened(s, call, flags, opened_fd, errno);
}

static int is_directory(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static void op_read(struct script *s) {
    int fd = s->slots[s->slot];
    size_t size = pick(s, 3000);
    ssize_t count;
    errno = 0;
    /* Of a directory, what is said depends on where its file system stands. */
    switch (is_directory(fd) ? 0 : pick(s, 4)) {
    case 0: count = pread(fd, s->buffer, size, pick(s, 5000)); break;
    case 1: {
        struct iovec parts[] = {{s->buffer, size / 2}, {s->buffer + size / 2, size - size / 2}};
        count = readv(fd, parts, 2);
        break;
    }
    case 2: count = pread(fd, s->buffer, size, -1); break;
    default: count = read(fd, pick(s, 60) == 0 ? BAD_POINTER : s->buffer, size);
    }
    answer(s, "read", count, errno);
    if (count > 0)
        say(s, "%d %016llx\n", s->line, (unsigned long long)fnv(FNV_START, s->buffer, count));
}

static void op_lseek(struct script *s) {
    static const int WHENCE[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_SET, 77};
    int fd = s->slots[s->slot], whence = WHENCE[pick(s, COUNT(WHENCE))];
    off_t offset = (off_t)pick(s, 9000) - 1000;
    /* Offsets in directories are the file system's own, but for the start. */
    if (is_directory(fd))
        ASK("lseek", lseek(fd, 0, SEEK_SET));
    else
        ASK("lseek", lseek(fd, offset, whence));
}

static void op_mmap(struct script *s) {
    static const int PROTECTION[] = {PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_NONE};
    int fd = s->slots[s->slot], protection = PROTECTION[pick(s, COUNT(PROTECTION))], flags = pick(s, 2) ? MAP_SHARED : MAP_PRIVATE;
    struct stat status;
    errno = 0;
    char *map = mmap(NULL, 8192, protection, flags, fd, pick(s, 4) == 0 ? 4096 : 0);
    answer(s, "mmap", map == MAP_FAILED ? -1 : 0, errno);
    if (map == MAP_FAILED)
        return;
    if (protection & PROT_READ && fstat(fd, &status) == 0 && status.st_size >= 8192 + 4096)
        say(s, "%d mapped %016llx\n", s->line, (unsigned long long)fnv(FNV_START, map, 8192));
    munmap(map, 8192);
}

/* Sends from the slot's file to memory, by each of the ways that the kernel has. */
static void op_send(struct script *s) {
    int fd = s->slots[s->slot], to = memfd_create("oracle", 0), way = pick(s, 3);
    /* Where a directory stands is its file system's own. */
    off_t offset = pick(s, 3000), *where = pick(s, 2) || is_directory(fd) ? &offset : NULL;
    size_t count = pick(s, 5000);
    errno = 0;
    long sent = way == 0 ? copy_file_range(fd, where, to, NULL, count, 0) : sendfile(to, fd, where, count);
    answer(s, way == 0 ? "copy_file_range" : "sendfile", sent, errno);
    ssize_t got = sent > 0 ? pread(to, s->buffer, sent, 0) : 0;
    say(s, "%d sent %zd %016llx, at %lld\n", s->line, got, (unsigned long long)fnv(FNV_START, s->buffer, got > 0 ? got : 0),
        where == NULL ? -1 : (long long)offset);
    close(to);
}

static void op_dup(struct script *s) {
    int fd = s->slots[s->slot], wanted = 200 + 16 * s->number_of_script + (int)pick(s, 10), copy, slot = (s->slot + 1) % SLOTS;
    /* A wanted number may be another slot's. */
    for (int other = 0; other < SLOTS; other++)
        if (s->slots[other] == wanted)
            wanted = 200 + 16 * s->number_of_script + 10 + slot;
    errno = 0;
    switch (pick(s, 6)) {
    case 0: copy = dup(fd); break;
    case 1: copy = fcntl(fd, F_DUPFD, 10); break;
    case 2: copy = fcntl(fd, F_DUPFD_CLOEXEC, 10); break;
    case 3: copy = s->slots[slot] == wanted ? -1 : dup2(fd, wanted); break;
    case 4: copy = (int)syscall(SYS_dup, fd); break;
    default: copy = s->slots[slot] == wanted ? -1 : dup3(fd, wanted, O_CLOEXEC);
    }
    int error = errno;
    if (copy >= 0) {
        say(s, "%d dup: getfl %o getfd %d\n", s->line, fcntl(copy, F_GETFL) & ~O_NOATIME, fcntl(copy, F_GETFD));
        keep(s, slot, copy);
    } else
        answer(s, "dup", copy, error);
}

static void op_close(struct script *s) {
    int fd = s->slots[s->slot];
    switch (fd < 0 ? 3 : pick(s, 4)) {
    case 0: ASK("close_range", close_range(fd, fd, 0)); break;
    case 1: ASK("SYS_close", syscall(SYS_close, fd)); break;
    default: ASK("close", close(fd));
    }
    s->slots[s->slot] = -1;
}

static void op_fcntl(struct script *s) {
    int fd = from(s);
    switch (pick(s, 5)) {
    case 0: ASK("F_GETFL", fcntl(fd, F_GETFL) == -1 ? -1 : fcntl(fd, F_GETFL) & ~O_NOATIME); break;
    case 1: ASK("F_SETFD", fcntl(fd, F_SETFD, FD_CLOEXEC)); break;
    case 2: ASK("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND)); break;
    case 3: ASK("flock", flock(fd, LOCK_SH | LOCK_NB)); ASK("flock", flock(fd, LOCK_UN)); break;
    default: ASK("F_GETFD", fcntl(fd, F_GETFD));
    }
}

static void op_fopen(struct script *s) {
    static const char *const MODES[] = {"r", "r", "r", "re", "rb", "r+", "w", "a", "wx", "w+", "a+", "rce", "x", ""};
    const char *mode = MODES[pick(s, COUNT(MODES))];
    FILE *stream;
    errno = 0;
    switch (pick(s, 4)) {
    case 0: stream = fopen64(s->path, mode); break;
    case 1: {
        FILE *before = fopen("/dev/null", "r");
        errno = 0;
        stream = s->path == NULL ? NULL : freopen(s->path, mode, before);
        break;
    }
    default: stream = fopen(s->path, mode);
    }
    int error = errno;
    if (stream == NULL) {
        answer(s, "fopen", -1, error);
        return;
    }
    size_t count = fread(s->buffer, 1, 100, stream);
    error = ferror(stream) ? errno : 0;
    struct stat status;
    say(s, "%d fopen %s: %zu %016llx %s at %ld ", s->line, mode, count, (unsigned long long)fnv(FNV_START, s->buffer, count),
        error ? error_name(error) : "", ftell(stream));
    if (fstat(fileno(stream), &status) == 0)
        say_status(s, &status);
    fclose(stream);
}

/* What /proc shows of a descriptor, and what can be done with it there. */
static void op_proc(struct script *s) {
    static const char *const FORMATS[] = {"/proc/self/fd/%d", "/dev/fd/%d", "/proc/self/fd/%d/."};
    struct stat status;
    int fd = s->slots[s->slot], format = pick(s, COUNT(FORMATS));
    /* What stands for a pipe or a socket has a number in its name. */
    if (fd < 0 || fstat(fd, &status) != 0)
        return;
    if (pick(s, 4) == 0 && s->nested == 0)
        snprintf(s->second, sizeof s->second, "/proc/%d/fd/%d", getpid(), fd);
    else
        snprintf(s->second, sizeof s->second, FORMATS[format], fd);
    switch (pick(s, 6)) {
    case 0: ASK_STATUS("stat by proc", stat(s->second, out)); break;
    case 1: ASK("access by proc", access(s->second, pick(s, 8))); break;
    case 2: {
        int flags = FLAGS[pick(s, 7)], opened_fd; /* no link of /proc itself */
        OPENED("open by proc", open(s->second, flags));
        break;
    }
    case 3:
        snprintf(s->second, sizeof s->second, "/proc/self/fd/%d/%.2000s", fd, readable(s));
        ASK_STATUS("lstat below proc", lstat(s->second, out));
        break;
    default: {
        memset(s->buffer, 0, PATH_MAX);
        ASK("readlink of proc", readlink(s->second, s->buffer, PATH_MAX));
        say(s, "%d target: ", s->line);
        say_bytes(s, s->buffer, strlen(s->buffer));
        say(s, "\n");
    }
    }
}
