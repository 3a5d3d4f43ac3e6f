/* What holds a path, watches on it, handles and keys of it: by function, by descriptor and by number. */
#include "probe.h"
#include "paths.h"
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

/* What every read-only file system has; sizes and names are each one's own. */
static void print_flags(unsigned long flags, unsigned long names) {
    printf(" read-only=%d names=%lu\n", (flags & ST_RDONLY) != 0, names);
}

#define FILLED(name, path, expression, flags, names) \
    do {                                             \
        errno = 0;                                   \
        long answer_ = (long)(expression);           \
        int error_ = errno;                          \
        label(name, path);                           \
        if (answer_ == 0 && error_ == 0)             \
            print_flags(flags, names);               \
        else                                         \
            result(answer_, error_);                 \
    } while (0)

static void file_systems(const char *rel, const char *path) {
    struct statfs f, g;
    struct statvfs v, w;
    FILLED("statfs", rel, statfs(path, &f), f.f_flags, f.f_namelen);
    FILLED("SYS_statfs", rel, syscall(SYS_statfs, path, &f), f.f_flags, f.f_namelen);
    FILLED("statvfs", rel, statvfs(path, &v), v.f_flag, v.f_namemax);
    for (int name = 0; name < 22; name++) {
        errno = 0;
        long limit = pathconf(path, name);
        int error = errno;
        /* How many links and how large a file or its blocks are is each file system's own. */
        int own = name == _PC_LINK_MAX || (name >= _PC_FILESIZEBITS && name <= _PC_ALLOC_SIZE_MIN);
        printf("pathconf %d ", name);
        label("", rel);
        result(own && limit > 0 ? 1 : limit, error);
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd == -1)
        return;
    FILLED("fstatfs", rel, fstatfs(fd, &g), g.f_flags, g.f_namelen);
    FILLED("SYS_fstatfs", rel, syscall(SYS_fstatfs, fd, &g), g.f_flags, g.f_namelen);
    FILLED("fstatvfs", rel, fstatvfs(fd, &w), w.f_flag, w.f_namemax);
    printf("same %d %d\n", memcmp(&f.f_fsid, &g.f_fsid, sizeof f.f_fsid) == 0 && f.f_type == g.f_type,
           v.f_fsid == w.f_fsid && v.f_blocks == w.f_blocks && v.f_flag == w.f_flag);
    CALL("fpathconf", rel, fpathconf(fd, _PC_NAME_MAX));
    close(fd);
}

/* A key is made of numbers that differ from one copy to the other; it must be made as it always is. */
static void key(const char *rel, const char *path) {
    errno = 0;
    key_t key = ftok(path, 'v' + 256);
    int error = errno;
    label("ftok", rel);
    struct stat s;
    if (key == -1)
        result(key, error);
    else if (stat(path, &s) == 0)
        printf("as usual %d\n", key == (key_t)((s.st_ino & 0xffff) | (s.st_dev & 0xff) << 16 | (unsigned)'v' << 24));
}

static void watches(const char *rel, const char *path, int watcher) {
    static const struct {
        const char *name;
        uint32_t mask;
    } MASKS[] = {{"modify", IN_MODIFY}, {"directory", IN_CREATE | IN_ONLYDIR}, {"symlink", IN_ATTRIB | IN_DONT_FOLLOW},
                 {"symlink or directory", IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW}, {"nothing", 0}};
    for (int number = 0; number < COUNT(MASKS); number++) {
        int wd = inotify_add_watch(watcher, path, MASKS[number].mask), error = errno;
        printf("inotify_add_watch %s ", MASKS[number].name);
        print_text(rel);
        printf(" = %s\n", wd > 0 ? "watched" : error_name(error));
        /* Equal files have one watch where they have one inode. */
        if (wd > 0)
            inotify_rm_watch(watcher, wd);
        wd = syscall(SYS_inotify_add_watch, watcher, path, MASKS[number].mask), error = errno;
        printf("SYS_inotify_add_watch = %s\n", wd > 0 ? "watched" : error_name(error));
        if (wd > 0)
            inotify_rm_watch(watcher, wd);
    }
}

/* As root; others may watch by file handles only, which are each file system's own. */
static void marks(const char *rel, const char *path, int group) {
    static const struct {
        const char *name;
        unsigned flags, mask;
    } MARKS[] = {{"inode", 0, FAN_OPEN}, {"directory", FAN_MARK_ONLYDIR, FAN_ACCESS}, {"symlink", FAN_MARK_DONT_FOLLOW, FAN_CLOSE},
                 {"nothing", 0, 0}, {"nonsense", 0x40000000, FAN_OPEN}};
    for (int number = 0; number < COUNT(MARKS); number++) {
        printf("%s ", MARKS[number].name);
        CALL("fanotify_mark", rel, fanotify_mark(group, FAN_MARK_ADD | MARKS[number].flags, MARKS[number].mask, AT_FDCWD, path));
        CALL("SYS_fanotify_mark", rel,
             syscall(SYS_fanotify_mark, group, FAN_MARK_ADD | MARKS[number].flags, (uint64_t)MARKS[number].mask, AT_FDCWD, path));
        /* Equal files have one mark where they have one inode. */
        fanotify_mark(group, FAN_MARK_FLUSH, 0, AT_FDCWD, "/");
    }
    if (limits)
        CALL("fanotify_mark of the mount", rel, fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, path));
}

/* Some file systems give handles and some do not. */
static void handle(const char *rel, int dirfd, const char *path) {
    union {
        struct {
            unsigned bytes;
            int type;
        } head;
        char all[8 + 128];
    } h;
    static const int FLAGS[] = {0, 0x400 /* AT_SYMLINK_FOLLOW */, 0x1000 /* AT_EMPTY_PATH */, 0x1400, 0x8000000};
    for (int number = 0; number < COUNT(FLAGS); number++) {
        int mount;
        h.head.bytes = 128;
        errno = 0;
        long answer = syscall(SYS_name_to_handle_at, dirfd, path, &h, &mount, FLAGS[number]);
        int error = errno;
        printf("name_to_handle_at %x ", FLAGS[number]);
        label(dirfd == AT_FDCWD ? "path" : "descriptor", rel);
        if (answer == 0 || error == EOPNOTSUPP)
            printf("a handle or none\n");
        else
            result(answer, error);
    }
}

/* What the kernel says of wrong arguments comes before what it says of the path. */
static void wrong_arguments(void) {
    static const char *const PLACES[] = {"plain.txt", "missing", "plain.txt/below", "dir"};
    struct statfs f;
    for (int number = 0; number < COUNT(PLACES); number++) {
        const char *rel = PLACES[number], *path = at(rel);
        CALL("inotify_add_watch of no descriptor", rel, inotify_add_watch(-1, path, IN_MODIFY));
        CALL("inotify_add_watch of another", rel, inotify_add_watch(0, path, IN_MODIFY));
        CALL("statfs to nowhere", rel, syscall(SYS_statfs, path, NULL));
        CALL("name_to_handle_at to nowhere", rel,
             syscall(SYS_name_to_handle_at, AT_FDCWD, path, NULL, NULL, 0) == -1 && (errno == EFAULT || errno == EOPNOTSUPP)
                 ? (errno = 0) : -1);
    }
    CALL("fstatfs of no descriptor", "", fstatfs(-1, &f));
    CALL("statfs of no path", "", syscall(SYS_statfs, NULL, &f));
    CALL("ftok of no path", "", ftok("", 1));
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int watcher = inotify_init1(IN_CLOEXEC), group = geteuid() == 0 ? fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY) : -1;
    printf("fanotify %d\n", group != -1);
    int dir = open_directory(at("dir")), file = open(at("plain.txt"), O_RDONLY);
    for (int number = 0; number < COUNT(PATHS); number++) {
        const char *rel = PATHS[number];
        if (leads_out(rel))
            continue;
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", P, rel);
        file_systems(rel, path);
        key(rel, path);
        watches(rel, path, watcher);
        handle(rel, AT_FDCWD, path);
        if (group != -1)
            marks(rel, path, group);
    }
    if (group != -1) {
        marks("plain.txt", NULL, group);
        CALL("fanotify_mark by descriptor", "same-a", fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, dir, "same-a"));
        CALL("fanotify_mark of a descriptor", "dir", fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, dir, NULL));
    }
    handle("same-a", dir, "same-a");
    handle("nothing below dir", dir, "");
    handle("nothing below plain.txt", file, "");
    handle("below a file", file, "x");
    handle("of no descriptor", -1, "x");
    wrong_arguments();
    return 0;
}
