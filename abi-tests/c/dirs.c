/* Directories: every way to list one gives the same names, types and (exact) inode numbers.
 *
 * The kernel's order of entries is its own, so lists are sorted; what must hold of positions
 * (telldir, d_off) is asserted instead. */
#include "probe.h"
#include "paths.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct item {
    char name[256];
    unsigned char type;
    uint64_t inode;
};
static struct item items[20000];
static int item_count;

static void add(const char *name, unsigned char type, uint64_t inode) {
    if (item_count == COUNT(items)) {
        printf("more than %d entries\n", item_count);
        exit(2);
    }
    struct item *item = &items[item_count++];
    snprintf(item->name, sizeof item->name, "%s", name);
    item->type = type;
    item->inode = inode;
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const struct item *)left)->name, ((const struct item *)right)->name);
}

/* Prints what was collected: all of a short list, a sum of a long one. */
static void list(const char *call, const char *path) {
    qsort(items, item_count, sizeof *items, by_name);
    uint64_t hash = FNV_START;
    for (int at = 0; at < item_count; at++) {
        hash = fnv(hash, items[at].name, strlen(items[at].name) + 1);
        hash = fnv(hash, &items[at].type, 1);
        /* The inode of `..` of the tree's own root is that of wherever the tree is kept. */
        if (exact && strcmp(items[at].name, "..") != 0)
            hash = fnv(hash, &items[at].inode, sizeof items[at].inode);
    }
    label(call, path);
    printf("%d entries %016llx\n", item_count, (unsigned long long)hash);
    for (int at = 0; at < item_count && item_count < 40; at++) {
        printf("  %d ", items[at].type);
        print_text(items[at].name);
        if (exact && strcmp(items[at].name, "..") != 0)
            printf(" %llu", (unsigned long long)items[at].inode);
        putchar('\n');
    }
    item_count = 0;
}

/* The inode that readdir tells is the one that lstat tells. */
static void check_inodes(const char *path, DIR *dir) {
    struct dirent *entry;
    struct stat s;
    int differ = 0;
    while ((entry = readdir(dir)) != NULL)
        if (fstatat(dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "tree") != 0 &&
            (s.st_ino != entry->d_ino || (entry->d_type != DT_UNKNOWN && IFTODT(s.st_mode) != entry->d_type)) && differ++ < 5)
            printf("readdir and lstat disagree about %s in %s: %llu/%d %llu/%o\n", entry->d_name, path,
                   (unsigned long long)entry->d_ino, entry->d_type, (unsigned long long)s.st_ino, s.st_mode);
}

static void collect(DIR *dir) {
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        add(entry->d_name, entry->d_type, entry->d_ino);
}

static void positions(const char *path, DIR *dir) {
    static char names[64][256];
    static long where[64];
    int count = 0;
    struct dirent *entry;
    rewinddir(dir);
    where[0] = telldir(dir);
    while (count < 63 && (entry = readdir(dir)) != NULL) {
        snprintf(names[count++], 256, "%s", entry->d_name);
        where[count] = telldir(dir);
    }
    for (int at = count - 1; at >= 0; at -= 3) {
        seekdir(dir, where[at]);
        entry = readdir(dir);
        if (entry == NULL || strcmp(entry->d_name, names[at]) != 0)
            printf("seekdir in %s to entry %d: expected %s, got %s\n", path, at, names[at], entry ? entry->d_name : "the end");
    }
    for (int one = 0; one <= count; one++)
        for (int other = one + 1; other <= count; other++)
            if (where[one] == where[other])
                printf("telldir in %s: entries %d and %d have the same position\n", path, one, other);
    rewinddir(dir);
    collect(dir);
    list("readdir after rewinddir", path);
}

static void by_opendir(const char *path) {
    errno = 0;
    DIR *dir = opendir(path);
    label("opendir", path);
    if (dir == NULL) {
        printf("NULL %s\n", error_name(errno));
        return;
    }
    printf("fd %d cloexec %d\n", dirfd(dir), fcntl(dirfd(dir), F_GETFD));
    STAT("fstat of dirfd", path, fstat(dirfd(dir), &s));
    collect(dir);
    errno = 0;
    TEXT("readdir at the end", path, readdir(dir) == NULL ? "NULL" : "more");
    CALL("errno at the end", path, 0);
    list("readdir", path);
    rewinddir(dir);
    check_inodes(path, dir);
    positions(path, dir);
    int fd = dirfd(dir);
    CALL("closedir", path, closedir(dir));
    CALL("fd after closedir", path, fcntl(fd, F_GETFD));
}

struct raw {
    uint64_t d_ino;
    int64_t d_off;
    unsigned short d_reclen;
    unsigned char d_type;
    char d_name[];
};

static void by_getdents(const char *path, size_t size) {
    static char buffer[1 << 17] __attribute__((aligned(16)));
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd == -1)
        return;
    char name[64];
    long count;
    static int64_t offsets[3];
    static char after[3][256];
    int seen = 0;
    while ((count = syscall(SYS_getdents64, fd, buffer, size)) > 0)
        for (long at = 0; at < count;) {
            struct raw *entry = (struct raw *)(buffer + at);
            add(entry->d_name, entry->d_type, entry->d_ino);
            if (entry->d_reclen % 8 != 0 || entry->d_reclen < 19 + strlen(entry->d_name) + 1 || at + entry->d_reclen > count)
                printf("record of %s in %s has %d bytes\n", entry->d_name, path, entry->d_reclen);
            if (seen > 0 && seen <= 3)
                snprintf(after[seen - 1], 256, "%s", entry->d_name);
            if (seen < 3)
                offsets[seen] = entry->d_off;
            seen++;
            at += entry->d_reclen;
        }
    snprintf(name, sizeof name, "getdents64 %zu, last", size);
    CALL(name, path, (errno = 0, count));
    list("getdents64", path);
    for (int at = 0; at < 3 && at + 1 < seen; at++) {
        long where = lseek(fd, offsets[at], SEEK_SET);
        count = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (where != offsets[at] || count <= 0 || strcmp(((struct raw *)buffer)->d_name, after[at]) != 0)
            printf("lseek to d_off in %s: expected %s\n", path, after[at]);
    }
    CALL("lseek to start", path, lseek(fd, 0, SEEK_SET));
    while ((count = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < count; at += ((struct raw *)(buffer + at))->d_reclen)
            add(((struct raw *)(buffer + at))->d_name, 0, 0);
    label("getdents64 again", path);
    printf("%d entries\n", item_count);
    item_count = 0;
    /* Two descriptors of one open file share its position. */
    lseek(fd, 0, SEEK_SET);
    int twin = dup(fd), total = 0;
    while ((count = syscall(SYS_getdents64, total % 2 ? fd : twin, buffer, 512)) > 0)
        for (long at = 0; at < count; at += ((struct raw *)(buffer + at))->d_reclen)
            total++;
    label("getdents64 by two", path);
    printf("%d entries\n", total);
    close(twin);
    close(fd);
}

static void errors_of(const char *path) {
    static char buffer[4096] __attribute__((aligned(16)));
    int fd = open(path, O_RDONLY);
    if (fd == -1)
        return;
    CALL("getdents64 tiny", path, syscall(SYS_getdents64, fd, buffer, 8));
    CALL("getdents64 zero", path, syscall(SYS_getdents64, fd, buffer, 0));
    CALL("getdents64 NULL", path, syscall(SYS_getdents64, fd, NULL, 4096));
    CALL("read of a directory", path, read(fd, buffer, 10) >= 0 ? 0 : -1);
    CALL("lseek -1", path, lseek(fd, -1, SEEK_SET));
    close(fd);
    fd = open(path, O_PATH);
    CALL("getdents64 of O_PATH", path, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    DIR *dir;
#ifdef __GLIBC__ /* musl refuses */
    CALL("fdopendir of O_PATH", path, (dir = fdopendir(fd)) == NULL ? -1 : 0);
    if (dir != NULL)
        closedir(dir);
    else
        close(fd);
#else
    close(fd);
#endif
    fd = open(path, O_RDONLY);
    CALL("fdopendir", path, (dir = fdopendir(fd)) == NULL ? -1 : dirfd(dir) - fd);
    if (dir != NULL) {
        CALL("cloexec after fdopendir", path, fcntl(fd, F_GETFD));
        readdir(dir);
        collect(dir);
        label("readdir after one", path);
        printf("%d more\n", item_count);
        item_count = 0;
        closedir(dir);
    } else
        close(fd);
}

#ifdef __GLIBC__
static int no_dots(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static void by_scandir(const char *rel) {
    int root = open_directory(P);
    struct dirent **found;
    int counts[3];
    static const char *const NAMES[] = {"scandir", "scandir64", "scandirat"};
    for (int way = 0; way < 3; way++) {
        errno = 0;
        counts[way] = way == 0   ? scandir(at(rel), &found, NULL, alphasort)
                      : way == 1 ? scandir64(at(rel), (struct dirent64 ***)&found, NULL, alphasort64)
                                 : scandirat(root, rel, &found, no_dots, NULL);
        CALL(NAMES[way], rel, counts[way]);
        if (counts[way] < 0) {
            printf("  scandir in %s\n", rel);
            continue;
        }
        for (int number = 0; number < counts[way]; number++) {
            add(found[number]->d_name, found[number]->d_type, found[number]->d_ino);
            free(found[number]);
        }
        free(found);
        list(NAMES[way], rel);
    }
    errno = 0;
    counts[0] = scandir(at(rel), &found, NULL, NULL);
    printf("scandir errno %s\n", counts[0] < 0 ? error_name(errno) : "none");
    close(root);
}

static void by_readdir_r(const char *path) {
    DIR *dir = opendir(path);
    struct dirent entry, *next;
    if (dir == NULL)
        return;
    while (readdir_r(dir, &entry, &next) == 0 && next != NULL)
        add(entry.d_name, entry.d_type, entry.d_ino);
    list("readdir_r", path);
    rewinddir(dir);
    while (readdir64_r(dir, (struct dirent64 *)&entry, (struct dirent64 **)&next) == 0 && next != NULL)
        add(entry.d_name, entry.d_type, entry.d_ino);
    list("readdir64_r", path);
    rewinddir(dir);
    struct dirent64 *wide;
    while ((wide = readdir64(dir)) != NULL)
        add(wide->d_name, wide->d_type, wide->d_ino);
    list("readdir64", path);
    closedir(dir);
}

static void by_getdirentries(const char *path) {
    static char buffer[8192] __attribute__((aligned(16)));
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    off64_t base = 0;
    long count;
    while (fd != -1 && (count = getdirentries64(fd, buffer, sizeof buffer, &base)) > 0)
        for (long at = 0; at < count; at += ((struct raw *)(buffer + at))->d_reclen)
            add(((struct raw *)(buffer + at))->d_name, ((struct raw *)(buffer + at))->d_type, ((struct raw *)(buffer + at))->d_ino);
    if (fd != -1) {
        close(fd);
        list("getdirentries64", path);
    }
}

#endif

int main(int argc, char **argv) {
    begin(argc, argv);
    for (int number = 0; number < COUNT(PATHS); number++) {
        const char *path = at(PATHS[number]);
        struct stat s;
        /* What leads out of the tree is listed by its name only: it is not ours. */
        if (strstr(PATHS[number], "slash/") != NULL || strcmp(PATHS[number], "links/slash") == 0)
            continue;
        /* The kernel's own directories beside P differ by the mount that is there. */
        if (strcmp(PATHS[number], "..") == 0 || strncmp(PATHS[number], "../", 3) == 0)
            continue;
        by_opendir(path);
        if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
            by_getdents(path, 300);
            by_getdents(path, 32768);
            by_getdents(path, 1 << 17);
        }
        errors_of(path);
#ifdef __GLIBC__
        by_scandir(PATHS[number]);
        by_readdir_r(path);
        by_getdirentries(path);
#endif
    }
    CALL("chdir", P, chdir(P));
    by_opendir(".");
    by_opendir("dir/..");
    by_opendir("links/to-dir");
    by_getdents("dir/sub/", 32768);
    return 0;
}
