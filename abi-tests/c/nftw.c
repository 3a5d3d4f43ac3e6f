/* nftw and ftw: what is reported, as what, where it is; flags, answers of the callback, limits. */
#include "probe.h"
#include "sorted.h"
#include <ftw.h>
#include <setjmp.h>

#ifndef FTW_ACTIONRETVAL
#define FTW_ACTIONRETVAL 0
#define FTW_SKIP_SUBTREE 2
#define FTW_SKIP_SIBLINGS 3
#define FTW_STOP 1
#endif

static int walk_flags, differ;

/* The name by which a callback can reach the entry. */
static const char *reach(const char *path, const struct FTW *where) {
    const char *name = walk_flags & FTW_CHDIR && FTW_ACTIONRETVAL ? path + where->base : path;
    return *name == '\0' ? "." : name;
}

/* What is reported is what the callback finds there. */
static void check(const char *path, const struct stat *s, int kind, const struct FTW *where) {
    struct stat own;
    int link = walk_flags & FTW_PHYS || kind == FTW_SLN;
    /* After a directory glibc still stands in it. */
    if (kind == FTW_NS || (kind == FTW_DP && walk_flags & FTW_CHDIR))
        return;
    /* In and out again by plain symlinks: more than stat itself can follow. */
    if (strstr(path, "walk/tree/out") != NULL)
        return;
    if ((link ? lstat : stat)(reach(path, where), &own) != 0)
        keep("%s cannot be reached: %s", path, error_name(errno));
    else if ((own.st_ino != s->st_ino || own.st_dev != s->st_dev || own.st_mode != s->st_mode) && differ++ < 5)
        printf("%s was reported as inode %llu of %llx, and is %llu of %llx\n", path, (unsigned long long)s->st_ino,
               (unsigned long long)s->st_dev, (unsigned long long)own.st_ino, (unsigned long long)own.st_dev);
}

static int visit(const char *path, const struct stat *s, int kind, struct FTW *where) {
    check(path, s, kind, where);
    keep("%s kind=%d level=%d base=%d %s", path, kind, where->level, where->base, kind == FTW_NS ? "" : status_text(s));
    return 0;
}

/* A walk that follows links tells every directory once, under the first name that it comes upon. */
static int visit_by_place(const char *path, const struct stat *s, int kind, struct FTW *where) {
    char place[PATH_MAX];
    check(path, s, kind, where);
    if (kind == FTW_DP && walk_flags & FTW_CHDIR)
        *place = '\0';
    else if (realpath(reach(path, where), place) == NULL)
        snprintf(place, sizeof place, "%s %s", path + where->base, error_name(errno));
    keep("%s kind=%d %s", place, kind, kind == FTW_NS ? "" : status_text(s));
    return 0;
}

static int visit_old(const char *path, const struct stat *s, int kind) {
    char place[PATH_MAX];
#ifdef __GLIBC__
    if (realpath(path, place) == NULL)
#endif
        snprintf(place, sizeof place, "%s", path);
    keep("%s kind=%d %s", place, kind, kind == FTW_NS ? "" : status_text(s));
    return 0;
}

/* Whether the walk ends with an error in the middle, at a directory that cannot be entered: what comes
 * before it is the file system's choice. */
static int stops_anywhere(int flags, const char *root) {
    return geteuid() != 0 && flags & FTW_CHDIR && FTW_ACTIONRETVAL && strcmp(root, "modes") == 0;
}

static void walk(const char *path, int most, int flags) {
    char name[80];
    int by_place = !(flags & FTW_PHYS) && FTW_ACTIONRETVAL;
    /* Back from a link by way of "..", glibc is lost. */
    if (by_place && flags & FTW_CHDIR)
        most = 20;
    snprintf(name, sizeof name, "nftw flags=%d at most %d", flags, most);
    before_walk();
    walk_flags = flags;
    errno = 0;
    int answer = nftw(path, by_place ? visit_by_place : visit, most, flags);
    label(name, path);
    result(answer, answer == -1 ? errno : 0);
    print_lines(name, path, 60);
    after_walk(name, path);
}

static void walk_old(const char *path) {
    before_walk();
    walk_flags = FTW_ACTIONRETVAL ? 0 : FTW_PHYS;
    errno = 0;
    int answer = ftw(path, visit_old, 20);
    label("ftw", path);
    result(answer, answer == -1 ? errno : 0);
    print_lines("ftw", path, 60);
    after_walk("ftw", path);
}

/* Callbacks that answer something. */
static const char *stop_name;
static int stop_kind, stop_answer, seen;

static int visit_and_stop(const char *path, const struct stat *s, int kind, struct FTW *where) {
    seen++;
    keep("%s kind=%d level=%d", path, kind, where->level);
    return kind == stop_kind && strcmp(path + where->base, stop_name) == 0 ? stop_answer : 0;
}

static void stopping(const char *rel, const char *name, int kind, int answer, int flags) {
    char call[80];
    snprintf(call, sizeof call, "nftw flags=%d, %d at %s (%d)", flags, answer, name, kind);
    stop_name = name, stop_kind = kind, stop_answer = answer;
    before_walk();
    CALL(call, rel, nftw(at(rel), visit_and_stop, 5, flags));
    print_lines(call, rel, 60);
    after_walk(call, rel);
}

static int visit_first_file(const char *path, const struct stat *s, int kind, struct FTW *where) {
    seen++;
    return kind == FTW_F ? FTW_SKIP_SIBLINGS : 0;
}

static jmp_buf out;

static int visit_and_jump(const char *path, const struct stat *s, int kind, struct FTW *where) {
    if (where->level == 3)
        longjmp(out, 1);
    return 0;
}

static pid_t child = -1;

static int visit_and_fork(const char *path, const struct stat *s, int kind, struct FTW *where) {
    seen++;
    if (kind == FTW_F && child == -1)
        child = fork();
    return 0;
}

static void callbacks(void) {
    stopping("deep", "level-03", FTW_D, 7, FTW_PHYS);
    stopping("deep", "level-03", FTW_D, -1, FTW_PHYS | FTW_CHDIR);
    stopping("deep", "level-20", FTW_DP, 9, FTW_PHYS | FTW_DEPTH | FTW_CHDIR);
    stopping("deep", "deep", FTW_D, 5, FTW_PHYS);
    stopping("plain.txt", "plain.txt", FTW_F, 3, FTW_PHYS);
    if (FTW_ACTIONRETVAL) {
        static const int FLAGS[] = {FTW_PHYS, FTW_PHYS | FTW_CHDIR, FTW_PHYS | FTW_DEPTH, FTW_PHYS | FTW_DEPTH | FTW_CHDIR, 0};
        for (int number = 0; number < COUNT(FLAGS); number++) {
            int flags = FLAGS[number] | FTW_ACTIONRETVAL;
            for (int answer = 1; answer <= 4; answer++) {
                stopping("deep", "level-03", FTW_D, answer, flags);
                stopping("deep", "level-03", FTW_DP, answer, flags);
                stopping("deep", "deep", FTW_D, answer, flags);
                stopping("deep", "bottom", FTW_F, answer, flags);
                stopping("plain.txt", "plain.txt", FTW_F, answer, flags);
            }
            stopping("dir", "sub", FTW_D, FTW_SKIP_SUBTREE, flags);
            if (!stops_anywhere(flags, "modes"))
                stopping("modes", "dir-0755", FTW_D, FTW_SKIP_SUBTREE, flags);
            seen = 0;
            CALL("skip siblings", "wide", nftw(at("wide"), visit_first_file, 5, flags));
            CALL("entries seen", "wide", seen);
        }
    }
    for (int flags = 0; flags < 64; flags++)
        if (flags & ~31 || !FTW_ACTIONRETVAL) {
            stop_name = "", seen = 0;
            CALL("unknown flags", "plain.txt", nftw(at("plain.txt"), visit_and_stop, 5, flags));
            print_lines("unknown flags", "plain.txt", 5);
        }
    if (setjmp(out) == 0)
        nftw(P, visit_and_jump, 2, FTW_PHYS);
    else
        printf("jumped\n");
    seen = 0;
    int answer = nftw(at("deep"), visit_and_fork, 2, FTW_PHYS);
    if (child == 0)
        _exit(seen + answer);
    int status = 0;
    waitpid(child, &status, 0);
    printf("forked: %d, both saw %d and %d\n", answer, seen, WEXITSTATUS(status));
}

int main(int argc, char **argv) {
    begin(argc, argv);
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", P);
    *strrchr(parent, '/') = '\0';
    static const char *const ROOTS[] = {"dir", "dir/", "dir//", "dir/.", "modes", "modes/dir-0000", "modes/dir-0111", "modes/dir-0444",
                                        "modes/dir-0000/file", "owners", "names", "hard", "wide", "deep", "knots", "knots/z/here/",
                                        "plain.txt", "plain.txt/", "missing", "missing/", "links/to-dir", "links/to-dir/", "links/dangling",
                                        "links/self", "links/through-file", "links/hosts", "knots/z/dangling", "knots/out", "knots/out/",
                                        "knots/out/tree", "links/out/walk"};
    static const int MOST[] = {1, 3, 20};
    for (int number = 0; number < COUNT(ROOTS); number++) {
        const char *path = at(ROOTS[number]);
        for (int flags = 0; flags < 16; flags++) {
            if (stops_anywhere(flags, ROOTS[number]))
                continue;
            /* A mount of the oracle's has the device of what is around it. */
            int crosses = strstr(ROOTS[number], "knots") != NULL || strstr(ROOTS[number], "out") != NULL;
            if (flags & FTW_MOUNT && crosses && !(flags & FTW_PHYS))
                continue;
            walk(path, MOST[(number + flags) % COUNT(MOST)], flags);
        }
        walk_old(path);
    }
    for (int flags = 0; flags < 16; flags++) {
        if (stops_anywhere(flags, "modes"))
            continue;
        if (flags & FTW_PHYS)
            walk(P, MOST[flags % COUNT(MOST)], flags);
        /* From plain directories into the served one. */
        if (!(flags & FTW_MOUNT)) {
            snprintf(parent + strlen(parent), 20, "/outside/walk");
            walk(parent, MOST[(flags / 4) % COUNT(MOST)], flags);
            *strrchr(parent, '/') = '\0', *strrchr(parent, '/') = '\0';
            if (flags & FTW_PHYS) {
                walk(parent, 1, flags);
                walk(parent, 2, flags);
                walk(parent, 20, flags);
            }
        }
    }
    walk_old(strcat(parent, "/outside/walk"));
    walk("", 20, 0);
    walk(at("dir"), 0, FTW_PHYS);
    walk(at("dir"), -1, FTW_PHYS);
    CALL("chdir", "dir/sub", chdir(at("dir/sub")));
    static const char *const RELATIVE[] = {".", "..", "../sub", "empty", "../../knots", "../../../outside/walk", "./", "missing", "same-c"};
    for (int number = 0; number < COUNT(RELATIVE); number++)
        for (int flags = 0; flags < 16; flags++)
            if (!(flags & FTW_MOUNT))
                walk(RELATIVE[number], MOST[number % COUNT(MOST)], flags);
    *strrchr(parent, '/') = '\0';
    CALL("chdir", "outside", chdir(parent));
    for (int flags = 0; flags < 16; flags++) {
        if (!(flags & FTW_MOUNT))
            walk("walk", 2, flags);
        if (flags & FTW_PHYS && !(flags & FTW_MOUNT) && !stops_anywhere(flags, "modes"))
            walk("..", 2, flags);
    }
    callbacks();
    return 0;
}
