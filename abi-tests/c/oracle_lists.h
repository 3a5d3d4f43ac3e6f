/* Operations of the oracle on directories: listing, seeking, glob, walking, the working directory. */
#include "oracle.h"
#include <fts.h>
#include <ftw.h>
#include <glob.h>

struct listed { char **names; int count; };

static void add(struct listed *list, const char *name, int type) {
    char *text;
    if (list->count < ENTRIES && asprintf(&text, "%d %s", type, name) != -1)
        list->names[list->count++] = text;
}

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Says what is in a list, in order of names, and lets it go. */
static void say_list(struct script *s, const char *call, struct listed *list, int error) {
    uint64_t hash = FNV_START;
    qsort(list->names, list->count, sizeof *list->names, by_name);
    for (int at = 0; at < list->count; at++)
        hash = fnv(hash, list->names[at], strlen(list->names[at]) + 1);
    say(s, "%d %s: %d entries %016llx", s->line, call, list->count, (unsigned long long)hash);
    if (error != 0)
        say(s, " then %s", error_name(error));
    if (list->count <= 12)
        for (int at = 0; at < list->count; at++) {
            say(s, " | ");
            say_bytes(s, list->names[at], strlen(list->names[at]));
        }
    say(s, "\n");
    for (int at = 0; at < list->count; at++)
        free(list->names[at]);
    free(list->names);
}

static struct listed empty_list(void) {
    return (struct listed){malloc(ENTRIES * sizeof(char *)), 0};
}

/* Lists an open stream and closes it. `way` chooses how. */
static void list_stream(struct script *s, const char *call, DIR *dir, int way) {
    struct listed list = empty_list();
    struct dirent *entry;
    int unlike = 0;
    if (is_above(dirfd(dir), "")) {
        say(s, "%d %s: above\n", s->line, call);
        free(list.names);
        closedir(dir);
        return;
    }
    errno = 0;
    for (;;) {
        if (way == 0)
            entry = (struct dirent *)readdir64(dir);
        else if (way == 1) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
            if (readdir_r(dir, (struct dirent *)s->buffer, &entry) != 0)
                entry = NULL;
#pragma GCC diagnostic pop
        } else
            entry = readdir(dir);
        if (entry == NULL)
            break;
        add(&list, entry->d_name, entry->d_type);
        struct stat status;
        if (way == 2 && strcmp(entry->d_name, "..") != 0 && fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            unlike += status.st_ino != entry->d_ino;
    }
    int error = errno;
    if (unlike)
        say(s, "%d %d inodes unlike\n", s->line, unlike);
    say_list(s, call, &list, error);
    closedir(dir);
}

static void op_list(struct script *s) {
    int way = pick(s, 5);
    errno = 0;
    DIR *dir = opendir(readable(s));
    if (dir == NULL)
        answer(s, "opendir", -1, errno);
    else
        list_stream(s, "opendir", dir, way);
}

static void op_listfd(struct script *s) {
    int fd = from(s), copy = pick(s, 3) ? openat(fd, ".", O_RDONLY | O_DIRECTORY) : pick(s, 2) ? dup(fd) : openat(fd, ".", O_PATH | O_DIRECTORY);
    if (copy >= 0)
        lseek(copy, 0, SEEK_SET);
    errno = 0;
    DIR *dir = fdopendir(copy);
    if (dir != NULL) {
        list_stream(s, "fdopendir", dir, pick(s, 5));
        return;
    }
    answer(s, "fdopendir", -1, errno);
    if (copy >= 0)
        close(copy);
}

static void op_getdents(struct script *s) {
    int fd = from(s);
    size_t size = pick(s, 8) == 0 ? pick(s, 40) : 280 + pick(s, 4000);
    struct listed list;
    long got;
    if (fd >= 0 && is_above(fd, ""))
        return;
    list = empty_list();
    lseek(fd, 0, SEEK_SET);
    int raw = pick(s, 2), bad = pick(s, 60) == 0;
    if (bad && size < 280)
        size = 280; /* which name comes first, and whether it fits, depends on the order too */
    for (;;) {
        char *out = bad ? BAD_POINTER : s->buffer;
        errno = 0;
#ifdef __GLIBC__
        got = raw ? syscall(SYS_getdents64, fd, out, size) : getdents64(fd, out, size);
#else
        got = syscall(SYS_getdents64, fd, out, size);
        (void)raw;
#endif
        if (got <= 0)
            break;
        for (long at = 0; at < got; at += *(unsigned short *)(s->buffer + at + 16))
            add(&list, s->buffer + at + 19, s->buffer[at + 18]);
    }
    /* How many fit before one does not depends on the order. */
    if (got == -1 && errno == EINVAL)
        while (list.count > 0)
            free(list.names[--list.count]);
    say_list(s, "getdents64", &list, got == -1 ? errno : 0);
}

static int starts_with_a(const struct dirent *entry) { return entry->d_name[0] == 'a'; }
static int all(const struct dirent *entry) { return 1; }

static void op_scandir(struct script *s) {
    struct dirent **found = NULL;
    int (*filters[])(const struct dirent *) = {NULL, NULL, starts_with_a, all}, (*filter)(const struct dirent *) = filters[pick(s, 4)];
    int fd = from(s), below = pick(s, 3) == 0, sorted = pick(s, 2);
    const char *path = readable(s);
    if (is_above(below ? fd : AT_FDCWD, path))
        return;
    errno = 0;
#ifdef __GLIBC__
    int count = below ? scandirat(fd, path, &found, filter, sorted ? alphasort : versionsort)
                      : scandir(path, &found, filter, sorted ? alphasort : NULL);
#else
    int count = scandir(path, &found, filter, sorted ? alphasort : NULL);
    (void)fd;
#endif
    if (count < 0) {
        answer(s, "scandir", count, errno);
        return;
    }
    uint64_t hash = FNV_START;
    struct listed list = empty_list();
    for (int at = 0; at < count; at++) {
        hash = fnv(hash, found[at]->d_name, strlen(found[at]->d_name) + 1);
        add(&list, found[at]->d_name, found[at]->d_type);
        free(found[at]);
    }
    free(found);
    if (below || sorted)
        say(s, "%d order %016llx\n", s->line, (unsigned long long)hash);
    say_list(s, "scandir", &list, 0);
}

/* Where a stream stands can be told and come back to. */
static void op_seekdir(struct script *s) {
    DIR *dir = opendir(readable(s));
    struct dirent *entry;
    char first[256] = "", then[256] = "";
    if (dir == NULL || is_above(dirfd(dir), "")) {
        say(s, "%d seekdir: none\n", s->line);
        if (dir != NULL)
            closedir(dir);
        return;
    }
    if ((entry = readdir(dir)) != NULL)
        snprintf(first, sizeof first, "%s", entry->d_name);
    for (unsigned skipped = pick(s, 5); skipped > 0; skipped--)
        readdir(dir);
    long here = telldir(dir);
    if ((entry = readdir(dir)) != NULL)
        snprintf(then, sizeof then, "%s", entry->d_name);
    int rest = 0, again = 0;
    while (readdir(dir) != NULL)
        rest++;
    seekdir(dir, here);
    entry = readdir(dir);
    int came_back = strcmp(then, entry == NULL ? "" : entry->d_name) == 0;
    while (readdir(dir) != NULL)
        again++;
    rewinddir(dir);
    entry = readdir(dir);
    say(s, "%d seekdir: %d %d %d %d\n", s->line, came_back, rest, again, entry != NULL && strcmp(first, entry->d_name) == 0);
    closedir(dir);
}

/* Whether what is listed below a path is the tree's, which nobody else changes and which has an end. */
static int is_listed(struct script *s, const char *path) {
    char link[64], target[PATH_MAX];
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd == -1)
        return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    close(fd);
    ssize_t own = strlen(P);
    target[length < 0 ? 0 : length] = 0;
    return length >= own && memcmp(target, P, own) == 0 && (length == own || target[own] == '/');
}

/* The same of the directories of what was found. */
static int are_listed(struct script *s, const glob_t *found) {
    char directory[PATH_MAX] = "", last[PATH_MAX] = "";
    for (size_t at = 0; at < found->gl_pathc; at++) {
        snprintf(directory, sizeof directory, "%s", found->gl_pathv[at]);
        size_t length = strlen(directory);
        while (length > 1 && directory[length - 1] == '/')
            directory[--length] = 0;
        char *slash = strrchr(directory, '/');
        if (slash == NULL)
            continue;
        slash[1] = 0;
        if (strcmp(directory, last) != 0 && !is_listed(s, directory))
            return 0;
        strcpy(last, directory);
    }
    return 1;
}

static void op_glob(struct script *s) {
    static const char *const TAILS[] = {"/*", "*", "/[a-c]*", "?", "/*/*", "/.*", "/{a,b}*", "/*/", "", "/[!a]*"};
    static const int GLOB_FLAGS[] = {0, GLOB_MARK, GLOB_NOCHECK, GLOB_ERR, GLOB_NOESCAPE,
#ifdef __GLIBC__
                                     GLOB_BRACE, GLOB_PERIOD, GLOB_ONLYDIR, GLOB_NOMAGIC, GLOB_MARK | GLOB_BRACE | GLOB_PERIOD,
#endif
    };
    const char *tail = TAILS[pick(s, COUNT(TAILS))], *path = *readable(s) ? readable(s) : ".";
    glob_t found;
    memset(&found, 0, sizeof found);
    /* Beyond the tree others make directories meanwhile. */
    if (strlen(path) > 3000 || !is_listed(s, path) || strstr(path, "..") != NULL)
        return;
    snprintf(s->second, sizeof s->second, "%s%s", path, tail);
    int value = glob(s->second, GLOB_FLAGS[pick(s, COUNT(GLOB_FLAGS))], NULL, &found);
    uint64_t hash = FNV_START;
    if (value == 0 && !are_listed(s, &found)) {
        globfree(&found);
        return;
    }
    for (size_t at = 0; value == 0 && at < found.gl_pathc; at++)
        hash = fnv(hash, found.gl_pathv[at], strlen(found.gl_pathv[at]) + 1);
    say(s, "%d glob: %d %zu %016llx\n", s->line, value, value == 0 ? found.gl_pathc : 0, (unsigned long long)hash);
    if (value == 0)
        globfree(&found);
}

static __thread struct listed *walked;

static int visit(const char *path, const struct stat *status, int type, struct FTW *where) {
    char text[PATH_MAX + 64];
    snprintf(text, sizeof text, "%d %d %llu %.*s", where->level, where->base, type == FTW_NS ? 0 : (unsigned long long)status->st_size,
             PATH_MAX, path);
    add(walked, text, type);
    return 0;
}

static void op_walk(struct script *s) {
    static const int WALK_FLAGS[] = {FTW_PHYS, FTW_PHYS | FTW_DEPTH, FTW_PHYS | FTW_MOUNT};
    const char *path = readable(s);
    struct listed list;
    if (strlen(path) > 2000 || !is_listed(s, path))
        return;
    list = empty_list();
    if (pick(s, 2)) {
        walked = &list;
        errno = 0;
        int value = nftw(path, visit, 20, WALK_FLAGS[pick(s, COUNT(WALK_FLAGS))]), error = errno;
        say_list(s, "nftw", &list, value == -1 ? error : 0);
        return;
    }
    char *roots[] = {(char *)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | (pick(s, 2) ? FTS_SEEDOT : 0), NULL);
    FTSENT *entry;
    while (walk != NULL && (entry = fts_read(walk)) != NULL) {
        char text[PATH_MAX + 64];
        snprintf(text, sizeof text, "%d %d %.*s", entry->fts_level, entry->fts_errno, PATH_MAX, entry->fts_path);
        add(&list, text, entry->fts_info);
    }
    if (walk != NULL)
        fts_close(walk);
    say_list(s, "fts", &list, 0);
}

/* Beyond the neighbourhood of P is the test's own, of which both sides have their parts. */
static void come_home(struct script *s) {
    size_t own = strrchr(P, '/') - P;
    if (getcwd(s->second, PATH_MAX) == NULL || memcmp(s->second, P, own) != 0 || (s->second[own] != '/' && s->second[own] != 0))
        chdir(P);
}

static void op_chdir(struct script *s) {
    if (!s->moves)
        return;
    if (pick(s, 3) == 0)
        ASK("SYS_chdir", syscall(SYS_chdir, s->path));
    else
        ASK("chdir", chdir(s->path));
    come_home(s);
}

static void op_fchdir(struct script *s) {
    if (s->moves) {
        ASK("fchdir", fchdir(from(s)));
        come_home(s);
    }
}

static void op_home(struct script *s) {
    if (s->moves)
        ASK("chdir home", chdir(P));
}

static void op_getcwd(struct script *s) {
    static const size_t SIZES[] = {PATH_MAX, PATH_MAX, 1 << 16, 10, 0, 60, 1};
    size_t size = SIZES[pick(s, COUNT(SIZES))];
    char *fresh;
    switch (pick(s, 6)) {
    case 0: errno = 0; fresh = getcwd(NULL, pick(s, 2) ? 0 : size); answer_text(s, "getcwd", fresh, errno); free(fresh); break;
    case 1: errno = 0; fresh = get_current_dir_name(); answer_text(s, "get_current_dir_name", fresh, errno); free(fresh); break;
    case 2: ASK("SYS_getcwd", syscall(SYS_getcwd, pick(s, 20) == 0 ? BAD_POINTER : s->buffer, size)); break;
    default: ASK_TEXT("getcwd", getcwd(s->buffer, size));
    }
}
