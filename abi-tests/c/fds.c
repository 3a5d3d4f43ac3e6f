/* Descriptors of served files: copies, reuse of numbers, inheritance, passing, mapping. */
#include "probe.h"
#ifdef __GLIBC__
#include <sys/sendfile.h>
#endif
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

static void stat_of(const char *what, int fd) {
    STAT("fstat", what, fstat(fd, &s));
}

static void copies(void) {
    int file = open(at("plain.txt"), O_RDONLY), dir = open(at("dir"), O_RDONLY | O_DIRECTORY);
    int file_copy = dup(file), dir_copy = dup2(dir, 77), third = dup3(file, 78, O_CLOEXEC);
    int lowest = fcntl(dir, F_DUPFD, 50), lowest_cloexec = fcntl(file, F_DUPFD_CLOEXEC, 50);
    printf("fds %d %d %d %d %d %d %d\n", file, dir, file_copy, dir_copy, third, lowest, lowest_cloexec);
    CALL("dup2 of itself", "", dup2(file, file));
    CALL("dup3 of itself", "", dup3(file, file, 0));
    CALL("dup of nothing", "", dup(999));
    CALL("dup2 to a negative", "", dup2(file, -1));
    close(file);
    close(dir);
    stat_of("dup of a closed file", file_copy);
    stat_of("closed", file);
    stat_of("dup2 of a closed directory", dir_copy);
    stat_of("F_DUPFD of a closed directory", lowest);
    stat_of("F_DUPFD_CLOEXEC of a closed file", lowest_cloexec);
    CALL("cloexec", "", fcntl(third, F_GETFD));
    CALL("cloexec", "", fcntl(lowest_cloexec, F_GETFD));
    OPEN("openat by dup2", "same-a", openat(dir_copy, "same-a", O_RDONLY));
    OPEN("openat by F_DUPFD", "../plain.txt", openat(lowest, "../plain.txt", O_RDONLY));
    STAT("fstatat by F_DUPFD", "sub", fstatat(lowest, "sub", &s, 0));
    describe_fd(file_copy);
    printf("shared offset %lld\n", (long long)lseek(third, 0, SEEK_CUR));
    /* The number now means something else, and must be believed. */
    int other = open("/etc/passwd", O_RDONLY);
    CALL("dup2 over a served one", "", dup2(other, dir_copy));
    stat_of("what was a directory", dir_copy);
    OPEN("openat by what was a directory", "same-a", openat(dir_copy, "same-a", O_RDONLY));
    dir = open(at("links"), O_RDONLY | O_DIRECTORY);
    CALL("dup2 of a served one over another", "", dup2(dir, third));
    OPEN("openat by what was a file", "relative", openat(third, "relative", O_RDONLY));
    for (int fd = 3; fd < 100; fd++)
        close(fd);
}

static void reuse(void) {
    for (int round = 0; round < 4; round++) {
        int fd = open(at("dir"), O_RDONLY | O_DIRECTORY);
        stat_of("directory", fd);
        if (round == 0)
            close(fd);
        else if (round == 1)
            syscall(SYS_close, fd);
#ifdef __GLIBC__
        else if (round == 2)
            close_range(fd, fd + 5, 0);
        else
            closefrom(fd);
#else
        else
            close(fd);
#endif
        stat_of("closed", fd);
        STAT("fstatat by closed", "same-a", fstatat(fd, "same-a", &s, 0));
        OPEN("openat by closed", "same-a", openat(fd, "same-a", O_RDONLY));
        CALL("fchdir by closed", "", fchdir(fd));
        int other = open("/etc", O_RDONLY | O_DIRECTORY);
        printf("number %d, before %d\n", other, fd);
        OPEN("openat by another", "passwd", openat(other, "passwd", O_RDONLY | O_DIRECTORY));
        CALL("faccessat by another", "same-a", faccessat(other, "same-a", F_OK, 0));
        close(other);
        int ends[2];
        CALL("pipe", "", pipe(ends));
        STAT("fstatat by a pipe", "same-a", fstatat(ends[0], "same-a", &s, 0));
        close(ends[0]);
        close(ends[1]);
    }
}

static void reading(const char *rel) {
    int fd = open(at(rel), O_RDONLY);
    char one[64] = {0}, two[64] = {0};
    struct iovec parts[] = {{one, 5}, {two, 7}};
    printf("-- reading %s\n", rel);
    CALL("pread", rel, pread(fd, one, 10, 3));
    CALL("preadv", rel, preadv(fd, parts, 2, 1));
    CALL("readv", rel, readv(fd, parts, 2));
    printf("%016llx\n", (unsigned long long)fnv(fnv(FNV_START, one, sizeof one), two, sizeof two));
    CALL("lseek end", rel, lseek(fd, 0, SEEK_END));
    CALL("lseek -1", rel, lseek(fd, -1, SEEK_SET));
    CALL("read 0", rel, read(fd, one, 0));
    CALL("read NULL", rel, (lseek(fd, 0, SEEK_SET), read(fd, NULL, 10)));
    CALL("write", rel, write(fd, "x", 1));
    CALL("ftruncate", rel, ftruncate(fd, 0));
    CALL("fsync", rel, fsync(fd));
    CALL("flock", rel, flock(fd, LOCK_SH | LOCK_NB));
    CALL("posix_fadvise", rel, posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    CALL("isatty", rel, isatty(fd));
    CALL("ioctl TIOCGWINSZ", rel, ioctl(fd, 0x5413, one));
    int count = -1;
    CALL("ioctl FIONREAD", rel, ioctl(fd, FIONREAD, &count));
    printf("%d\n", count);
    CALL("fpathconf", rel, fpathconf(fd, _PC_NAME_MAX));
    CALL("pathconf", rel, pathconf(at(rel), _PC_NAME_MAX));
    struct statvfs v, w;
    CALL("statvfs", rel, statvfs(at(rel), &v));
    CALL("fstatvfs", rel, fstatvfs(fd, &w));
    printf("same %d, names up to %lu\n", v.f_fsid == w.f_fsid && v.f_blocks == w.f_blocks, v.f_namemax);
    struct stat s;
    fstat(fd, &s);
    size_t size = s.st_size > 0 ? s.st_size : 1;
    CALL("lseek data", rel, lseek(fd, 0, SEEK_DATA));
    CALL("lseek hole", rel, lseek(fd, 0, SEEK_HOLE));
    /* A page fault in a hole of tmpfs fills it, so what has holes is not mapped. */
    if (s.st_blocks * 512 < s.st_size) {
        close(fd);
        return;
    }
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    CALL("mmap shared", rel, map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED && s.st_size > 0)
        printf("mapped %016llx\n", (unsigned long long)fnv(FNV_START, map, size));
    if (map != MAP_FAILED) {
        CALL("mprotect to write", rel, mprotect(map, size, PROT_READ | PROT_WRITE));
        munmap(map, size);
    }
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CALL("mmap private", rel, map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED && s.st_size > 0) {
        *(char *)map ^= 1;
        munmap(map, size);
    }
    CALL("mmap to write", rel, mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    CALL("mmap to execute", rel, mmap(NULL, size, PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
#ifdef __GLIBC__
    int out = memfd_create("out", 0);
    off_t from = 0;
    CALL("sendfile", rel, sendfile(out, fd, &from, 1 << 20));
    CALL("copy_file_range to served", rel, copy_file_range(out, &(off64_t){0}, fd, &(off64_t){0}, 10, 0));
    close(out);
#endif
    close(fd);
}

/* A descriptor in a message to another process, and one inherited over exec. */
static void passing(const char *self) {
    int ends[2], dir = open(at("dir"), O_RDONLY | O_DIRECTORY), file = open(at("bytes-4097"), O_RDONLY);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memset(&control, 0, sizeof control);
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), (int[]){dir, file}, 2 * sizeof(int));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int received[2];
        close(dir), close(file);
        int decoy = open("/etc", O_RDONLY);
        recvmsg(ends[1], &message, 0);
        memcpy(received, CMSG_DATA(&control.header), sizeof received);
        close(decoy);
        stat_of("received directory", received[0]);
        OPEN("openat by the received", "sub/same-c", openat(received[0], "sub/same-c", O_RDONLY));
        CALL("fchdir to the received", "", fchdir(received[0]));
        char buffer[PATH_MAX];
        TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
        describe_fd(received[1]);
        _exit(0);
    }
    sendmsg(ends[0], &message, 0);
    waitpid(child, NULL, 0);
    close(ends[0]), close(ends[1]);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        char numbers[2][16];
        snprintf(numbers[0], 16, "%d", dir);
        snprintf(numbers[1], 16, "%d", file);
        CALL("chdir before exec", "hard", chdir(at("hard")));
        execl(self, self, P, numbers[0], numbers[1], NULL);
        printf("exec: %s\n", error_name(errno));
        _exit(1);
    }
    waitpid(child, NULL, 0);
    close(dir), close(file);
}

static void inherited(int dir, int file) {
    char buffer[PATH_MAX];
    TEXT("getcwd after exec", "", getcwd(buffer, sizeof buffer));
    OPEN("open relative after exec", "elsewhere/third", open("elsewhere/third", O_RDONLY));
    stat_of("inherited directory", dir);
    OPEN("openat by the inherited", "../plain.txt", openat(dir, "../plain.txt", O_RDONLY));
    DIR *list = fdopendir(dir);
    int count = 0;
    while (list != NULL && readdir(list) != NULL)
        count++;
    printf("%d entries\n", count);
    if (list != NULL)
        closedir(list);
    describe_fd(file);
}

static void after_fork(void) {
    int dir = open(at("dir"), O_RDONLY | O_DIRECTORY);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        OPEN("openat in the child", "same-a", openat(dir, "same-a", O_RDONLY));
        close(dir);
        open("/etc/passwd", O_RDONLY);
        stat_of("the number in the child", dir);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    stat_of("the number in the parent", dir);
    OPEN("openat in the parent", "same-a", openat(dir, "same-a", O_RDONLY));
    child = vfork();
    if (child == 0) {
        close(dir);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    stat_of("after vfork", dir);
    close(dir);
}

static void watching(void) {
    int watcher = inotify_init1(IN_CLOEXEC);
    static const char *const PLACES[] = {"dir", "plain.txt", "missing", "links/to-dir", "links/dangling", "plain.txt/below", ""};
    for (int number = 0; number < COUNT(PLACES); number++) {
        CALL("inotify_add_watch", PLACES[number], inotify_add_watch(watcher, at(PLACES[number]), IN_MODIFY));
        CALL("inotify_add_watch of directories", PLACES[number], inotify_add_watch(watcher, at(PLACES[number]), IN_CREATE | IN_ONLYDIR));
    }
    close(watcher);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    if (argc == 4) {
        inherited(atoi(argv[2]), atoi(argv[3]));
        return 0;
    }
    copies();
    reuse();
    static const char *const FILES[] = {"plain.txt", "empty", "bytes-70000", "sparse", "hard/second", "modes/file-0755"};
    for (int number = 0; number < COUNT(FILES); number++)
        reading(FILES[number]);
    watching();
    passing(argv[0]);
    after_fork();
    return 0;
}
