/* Extended attributes by function, and what comes by the number of its system call only. */
#include "probe.h"
#include "paths.h"
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { FCHMODAT2 = 452, SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT, FILE_GETATTR = 468, FILE_SETATTR };
enum { NOFOLLOW = 0x100, EMPTY_PATH = 0x1000 };

struct value {
    uint64_t address;
    uint32_t bytes, flags;
};

/* The same call as a function and by its number. */
#define BOTH(name, rel, call, number, ...)                        \
    do {                                                          \
        CALL(name, rel, call(__VA_ARGS__));                       \
        CALL("SYS_" name, rel, syscall(number, __VA_ARGS__));     \
    } while (0)

/* Lists are in no certain order, and security modules add to them. */
static void list(const char *name, const char *rel, long count, int error, const char *names) {
    label(name, rel);
    if (count == -1) {
        result(count, error);
        return;
    }
    int notes = 0;
    for (const char *at = names; at < names + count; at += strlen(at) + 1)
        notes += strncmp(at, "user.", 5) == 0;
    printf("%d\n", notes);
}

static void attributes(const char *rel, const char *path) {
    char value[64], names[4096];
    static const char *const NAMES[] = {"user.velo.note", "user.velo.empty", "user.missing", "trusted.missing", "nonsense", ""};
    for (int number = 0; number < COUNT(NAMES); number++) {
        const char *name = NAMES[number];
        printf("%s\n", name);
        memset(value, 0, sizeof value);
        BOTH("getxattr", rel, getxattr, SYS_getxattr, path, name, value, sizeof value);
        print_text(value);
        BOTH("lgetxattr", rel, lgetxattr, SYS_lgetxattr, path, name, value, sizeof value);
        BOTH("getxattr size", rel, getxattr, SYS_getxattr, path, name, NULL, (size_t)0);
        BOTH("getxattr short", rel, getxattr, SYS_getxattr, path, name, value, (size_t)2);
        struct value args = {(uintptr_t)value, sizeof value, 0}, wrong = {(uintptr_t)value, sizeof value, 1};
        CALL("getxattrat", rel, syscall(GETXATTRAT, AT_FDCWD, path, 0, name, &args, sizeof args));
        CALL("getxattrat of the link", rel, syscall(GETXATTRAT, AT_FDCWD, path, NOFOLLOW, name, &args, sizeof args));
        CALL("getxattrat with a wrong flag", rel, syscall(GETXATTRAT, AT_FDCWD, path, 1, name, &args, sizeof args));
        CALL("getxattrat with wrong arguments", rel, syscall(GETXATTRAT, AT_FDCWD, path, 0, name, &wrong, sizeof wrong));
        CALL("getxattrat with few arguments", rel, syscall(GETXATTRAT, AT_FDCWD, path, 0, name, &args, 3));
    }
#define LIST(name, call)                                     \
    do {                                                     \
        errno = 0;                                           \
        long count_ = (call);                                \
        list(name, rel, count_, errno, names);               \
    } while (0)
    LIST("listxattr", listxattr(path, names, sizeof names));
    LIST("llistxattr", llistxattr(path, names, sizeof names));
    LIST("SYS_listxattr", syscall(SYS_listxattr, path, names, sizeof names));
    LIST("SYS_llistxattr", syscall(SYS_llistxattr, path, names, sizeof names));
    LIST("listxattrat", syscall(LISTXATTRAT, AT_FDCWD, path, NOFOLLOW, names, sizeof names));
    LIST("listxattrat with a wrong flag", syscall(LISTXATTRAT, AT_FDCWD, path, 1, names, sizeof names));
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd == -1)
        return;
    BOTH("fgetxattr", rel, fgetxattr, SYS_fgetxattr, fd, "user.velo.note", value, sizeof value);
    LIST("flistxattr", flistxattr(fd, names, sizeof names));
    LIST("SYS_flistxattr", syscall(SYS_flistxattr, fd, names, sizeof names));
    LIST("listxattrat of the descriptor", syscall(LISTXATTRAT, fd, "", EMPTY_PATH, names, sizeof names));
    struct value args = {(uintptr_t)value, sizeof value, 0};
    CALL("getxattrat of the descriptor", rel, syscall(GETXATTRAT, fd, "", EMPTY_PATH, "user.velo.note", &args, sizeof args));
    close(fd);
}

/* Whether a file system has such a request, and whose it is, is its own business. */
static int is_own(int error) {
    return error == ENOTTY || error == EOPNOTSUPP || error == EPERM;
}

static void changing(const char *rel, const char *path) {
    struct value args = {(uintptr_t) "v", 1, 0};
    uint64_t words[4] = {0};
    BOTH("setxattr", rel, setxattr, SYS_setxattr, path, "user.x", "v", (size_t)1, 0);
    BOTH("lsetxattr", rel, lsetxattr, SYS_lsetxattr, path, "user.x", "v", (size_t)1, 0);
    BOTH("removexattr", rel, removexattr, SYS_removexattr, path, "user.x");
    BOTH("lremovexattr", rel, lremovexattr, SYS_lremovexattr, path, "user.x");
    static const int FLAGS[] = {0, NOFOLLOW, EMPTY_PATH, 1};
    for (int number = 0; number < COUNT(FLAGS); number++) {
        int flags = FLAGS[number];
        CALL("setxattrat", rel, syscall(SETXATTRAT, AT_FDCWD, path, flags, "user.x", &args, sizeof args));
        CALL("removexattrat", rel, syscall(REMOVEXATTRAT, AT_FDCWD, path, flags, "user.x"));
        CALL("fchmodat2", rel, syscall(FCHMODAT2, AT_FDCWD, path, 0600, flags));
        errno = 0;
        long answer = syscall(FILE_SETATTR, AT_FDCWD, path, words, sizeof words, flags);
        int error = errno;
        label("file_setattr", rel);
        /* Whether a file system has such attributes is its own business. */
        result(answer, error == EOPNOTSUPP ? EROFS : error);
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd == -1)
        return;
    BOTH("fsetxattr", rel, fsetxattr, SYS_fsetxattr, fd, "user.x", "v", (size_t)1, 0);
    BOTH("fremovexattr", rel, fremovexattr, SYS_fremovexattr, fd, "user.x");
    CALL("setxattrat of the descriptor", rel, syscall(SETXATTRAT, fd, "", EMPTY_PATH, "user.x", &args, sizeof args));
    CALL("removexattrat of the descriptor", rel, syscall(REMOVEXATTRAT, fd, "", EMPTY_PATH, "user.x"));
    CALL("fchmodat2 of the descriptor", rel, syscall(FCHMODAT2, fd, "", 0600, EMPTY_PATH));
    static const unsigned long REQUESTS[] = {0x40086602, 0x401c5820, 0x40087602};
    for (int number = 0; number < COUNT(REQUESTS); number++) {
        errno = 0;
        int none[16] = {0}, answer = ioctl(fd, REQUESTS[number], none), error = errno;
        printf("ioctl %lx ", REQUESTS[number]);
        label("", rel);
        result(answer, is_own(error) ? EROFS : error);
        errno = 0;
        answer = syscall(SYS_ioctl, fd, REQUESTS[number], none), error = errno;
        result(answer, is_own(error) ? EROFS : error);
    }
    close(fd);
}

/* The oldest way to list, whose records have the kind at their end. */
static void old_listing(const char *rel) {
    int fd = open(at(rel), O_RDONLY | O_DIRECTORY);
    static const int SIZES[] = {32768, 320, 8};
    for (int number = 0; number < COUNT(SIZES); number++) {
        char buffer[32768];
        uint64_t sum = 0;
        long bytes, records = 0;
        int error;
        lseek(fd, 0, SEEK_SET);
        while (errno = 0, bytes = syscall(SYS_getdents, fd, buffer, SIZES[number]), error = errno, bytes > 0) {
            for (long at = 0; at < bytes;) {
                unsigned short length;
                memcpy(&length, buffer + at + 16, sizeof length);
                /* The order is each file system's own. */
                const char *name = buffer + at + 18;
                sum += fnv(fnv(FNV_START, name, strlen(name)), buffer + at + length - 1, 1);
                records++;
                at += length;
            }
        }
        printf("getdents %s by %d: %ld records %016llx, then ", rel, SIZES[number], records, (unsigned long long)sum);
        result(bytes, error);
    }
    close(fd);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    for (int number = 0; number < COUNT(PATHS); number++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", P, PATHS[number]);
        if (leads_out(PATHS[number]))
            continue;
        attributes(PATHS[number], path);
        if (changes)
            changing(PATHS[number], path);
    }
    old_listing("dir");
    old_listing("wide");
    old_listing("names");
    old_listing("");
    int file = open(at("plain.txt"), O_RDONLY);
    CALL("getdents of a file", "", syscall(SYS_getdents, file, (char[512]){0}, 512));
    CALL("getdents of nothing", "", syscall(SYS_getdents, -1, NULL, 0));
    uint64_t words[4];
    CALL("file_getattr of nothing", "missing", syscall(FILE_GETATTR, AT_FDCWD, at("missing"), words, sizeof words, 0));
    CALL("file_getattr of nothing", "plain.txt/below", syscall(FILE_GETATTR, AT_FDCWD, at("plain.txt/below"), words, sizeof words, 0));
    return 0;
}
