/* What can be done with the data of served descriptors without a hook: it must be the kernel's own answer, for files of
 * every kind of content and for directories. */
#include "probe.h"
#include <aio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static char text[65536];
static struct iovec parts[2] = {{text, 100}, {text + 100, 5000}};

static void sum(const char *rel, size_t bytes) {
    printf("%s %016llx\n", rel, (unsigned long long)fnv(FNV_START, text, bytes));
    memset(text, 0, sizeof text);
}

static void reading(const char *rel, int fd) {
    CALL("preadv", rel, preadv(fd, parts, 2, 7));
    sum(rel, 5100);
#ifdef __GLIBC__
    CALL("preadv2", rel, preadv2(fd, parts, 2, -1, 0));
    sum(rel, 5100);
    CALL("readahead", rel, readahead(fd, 0, 4096));
    CALL("sync_file_range", rel, sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
#endif
    struct aiocb block = {.aio_fildes = fd, .aio_buf = text, .aio_nbytes = 300, .aio_offset = 1};
    /* errno may change on success under musl, which waits for a thread. */
    printf("aio_read %s = %d\n", rel, aio_read(&block));
    const struct aiocb *all[] = {&block};
    while (aio_error(&block) == EINPROGRESS)
        aio_suspend(all, 1, NULL);
    printf("%s, %zd\n", error_name(aio_error(&block)), aio_error(&block) == 0 ? aio_return(&block) : -1);
    sum(rel, 300);
    CALL("posix_fadvise", rel, posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    CALL("fsync", rel, fsync(fd));
    CALL("fdatasync", rel, fdatasync(fd));
    CALL("syncfs", rel, syncfs(fd));
    int count = -1;
    lseek(fd, 3, SEEK_SET);
    CALL("ioctl FIONREAD", rel, ioctl(fd, FIONREAD, &count));
    printf("%d\n", count);
    CALL("ioctl FIONBIO", rel, ioctl(fd, FIONBIO, &(int){0}));
    CALL("ioctl FIOCLEX", rel, ioctl(fd, FIOCLEX));
    CALL("F_GETFD", rel, fcntl(fd, F_GETFD));
    CALL("ioctl TCGETS", rel, ioctl(fd, TCGETS, text));
    CALL("lseek", rel, lseek(fd, 5, SEEK_CUR));
}

/* Out of the served file; into it nothing goes. */
static void copying(const char *rel, int fd) {
    int out = syscall(SYS_memfd_create, "out", 0), ends[2];
    off_t from = 2;
    pipe(ends);
    CALL("sendfile", rel, sendfile(out, fd, &from, 1000));
    printf("at %lld\n", (long long)from);
    CALL("sendfile into", rel, sendfile(fd, out, NULL, 10));
    CALL("splice", rel, syscall(SYS_splice, fd, &(long long){1}, ends[1], NULL, 4000, 0));
    CALL("splice into", rel, syscall(SYS_splice, ends[0], NULL, fd, NULL, 10, 0));
    CALL("tee", rel, syscall(SYS_tee, fd, ends[1], 10, 0));
    CALL("copy_file_range into", rel, syscall(SYS_copy_file_range, out, &(long long){0}, fd, &(long long){0}, 10, 0));
    CALL("copy_file_range within", rel, syscall(SYS_copy_file_range, fd, &(long long){0}, fd, &(long long){9}, 2, 0));
    CALL("FICLONE into", rel, ioctl(fd, 0x40049409, out));
    /* From one file system to another it is refused; which are the same is the machine's business. */
    errno = 0;
    long copied = syscall(SYS_copy_file_range, fd, &(long long){0}, out, &(long long){0}, 10, 0);
    int error = errno;
    label("copy_file_range", rel);
    if (copied >= 0 || error == EXDEV)
        printf("copied, or another file system\n");
    else
        result(copied, error);
    lseek(out, 0, SEEK_SET);
    long long bytes;
    printf("content %016llx\n", (unsigned long long)content(out, &bytes));
    close(out), close(ends[0]), close(ends[1]);
}

static void writing(const char *rel, int fd) {
    CALL("write", rel, write(fd, "x", 1));
    CALL("pwrite", rel, pwrite(fd, "x", 1, 0));
    CALL("writev", rel, writev(fd, parts, 2));
    CALL("pwritev", rel, pwritev(fd, parts, 2, 0));
    CALL("ftruncate", rel, ftruncate(fd, 0));
    CALL("ftruncate to a negative", rel, ftruncate(fd, -1));
    CALL("fallocate", rel, fallocate(fd, 0, 0, 10));
    CALL("fallocate of a hole", rel, fallocate(fd, 3, 0, 10));
    CALL("fallocate of nothing", rel, fallocate(fd, 0, 0, 0));
    CALL("posix_fallocate", rel, posix_fallocate(fd, 0, 10));
    struct aiocb block = {.aio_fildes = fd, .aio_buf = text, .aio_nbytes = 3};
    printf("aio_write %s = %d\n", rel, aio_write(&block));
    const struct aiocb *all[] = {&block};
    while (aio_error(&block) == EINPROGRESS)
        aio_suspend(all, 1, NULL);
    printf("%s\n", error_name(aio_error(&block)));
}

/* Locks of one file, by two descriptions of it. */
static void locks(const char *rel, int fd) {
    int other = open(at(rel), O_RDONLY | O_NONBLOCK);
    CALL("flock shared", rel, flock(fd, LOCK_SH | LOCK_NB));
    CALL("flock shared by another", rel, flock(other, LOCK_SH | LOCK_NB));
    CALL("flock exclusive", rel, flock(fd, LOCK_EX | LOCK_NB));
    CALL("flock unlock", rel, flock(other, LOCK_UN));
    CALL("flock exclusive", rel, flock(fd, LOCK_EX | LOCK_NB));
    CALL("flock shared by another", rel, flock(other, LOCK_SH | LOCK_NB));
    CALL("flock unlock", rel, flock(fd, LOCK_UN));
    CALL("flock of no such kind", rel, flock(fd, 77));
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 10}, wanted = lock;
    CALL("F_SETLK read", rel, fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_WRLCK;
    CALL("F_SETLK write", rel, fcntl(fd, F_SETLK, &lock));
    CALL("lockf", rel, lockf(fd, F_TLOCK, 10));
    CALL("lockf test", rel, lockf(fd, F_TEST, 10));
#ifdef F_OFD_SETLK
    wanted.l_pid = 0;
    CALL("F_OFD_SETLK read", rel, fcntl(other, F_OFD_SETLK, &wanted));
    wanted.l_type = F_WRLCK;
    CALL("F_OFD_SETLK write", rel, fcntl(fd, F_OFD_SETLK, &wanted));
    CALL("F_OFD_GETLK", rel, fcntl(fd, F_OFD_GETLK, &wanted));
    printf("type %d\n", wanted.l_type);
#endif
    CALL("F_SETSIG", rel, fcntl(fd, F_SETSIG, 0));
    CALL("F_ADD_SEALS", rel, fcntl(fd, 1033, 1));
    CALL("F_SETPIPE_SZ", rel, fcntl(fd, 1031, 4096));
    CALL("F_SETFL", rel, fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
    CALL("F_GETFL", rel, fcntl(fd, F_GETFL));
    close(other);
}

static void mapping(const char *rel, int fd, size_t size) {
    char *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    CALL("mmap", rel, map == MAP_FAILED ? -1 : 0);
    if (map == MAP_FAILED)
        return;
    printf("%016llx\n", (unsigned long long)fnv(FNV_START, map, size));
    CALL("madvise", rel, madvise(map, size, MADV_WILLNEED));
    CALL("msync", rel, msync(map, size, MS_SYNC));
    char *moved = mremap(map, size, size + 8192, MREMAP_MAYMOVE);
    CALL("mremap", rel, moved == MAP_FAILED ? -1 : 0);
    if (moved != MAP_FAILED)
        map = moved, size += 8192;
    CALL("mprotect", rel, mprotect(map, size, PROT_READ | PROT_WRITE));
    map[0] ^= 1;
    munmap(map, size);
    CALL("mmap at no page", rel, mmap(NULL, 10, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED ? -1 : 0);
    CALL("mmap to write shared", rel, mmap(NULL, 10, PROT_WRITE | PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    static const char *const PLACES[] = {"plain.txt", "bytes-70000", "empty", "hard/second", "dir", "", "links/relative", "links/to-dir"};
    for (int number = 0; number < COUNT(PLACES); number++) {
        const char *rel = PLACES[number];
        struct stat s;
        int fd = open(at(rel), O_RDONLY);
        if (fd == -1 || fstat(fd, &s) == -1) {
            printf("open %s: %s\n", rel, error_name(errno));
            continue;
        }
        reading(rel, fd);
        copying(rel, fd);
        if (changes)
            writing(rel, fd);
        locks(rel, fd);
        if (s.st_size > 0 && S_ISREG(s.st_mode))
            mapping(rel, fd, s.st_size);
        close(fd);
        /* Only what asks for no data is allowed of a place. */
        fd = open(at(rel), O_PATH);
        CALL("read of a place", rel, read(fd, text, 1));
        CALL("flock of a place", rel, flock(fd, LOCK_SH));
        CALL("mmap of a place", rel, mmap(NULL, 10, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
        CALL("ftruncate of a place", rel, ftruncate(fd, 0));
        CALL("ioctl of a place", rel, ioctl(fd, FIONREAD, text));
        close(fd);
    }
    OPEN("unharmed", "plain.txt", open(at("plain.txt"), O_RDONLY));
    OPEN("unharmed", "empty", open(at("empty"), O_RDONLY));
    if (!limits)
        return 0;
    /* Two files of equal content are two, also to who locks and who watches (docs/LIMITS.md). */
    int first = open(at("dir/same-a"), O_RDONLY), second = open(at("dir/same-b"), O_RDONLY);
    CALL("flock of one", "dir/same-a", flock(first, LOCK_EX | LOCK_NB));
    CALL("flock of its equal", "dir/same-b", flock(second, LOCK_EX | LOCK_NB));
    return 0;
}
