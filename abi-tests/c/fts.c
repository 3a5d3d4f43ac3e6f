/* fts: the order, the fields of every entry, options, instructions, children. */
#include "probe.h"
#include "sorted.h"
#include <fts.h>

static int by_name(const FTSENT **left, const FTSENT **right) {
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static int by_name_down(const FTSENT **left, const FTSENT **right) {
    return -by_name(left, right);
}

/* What is to be done at which entries. */
struct orders {
    const char *name;
    int info, instruction, children;
};

static void keep_entry(const char *what, const FTSENT *entry, int options) {
    struct stat s;
    int has_status = !(options & FTS_NOSTAT) && entry->fts_info != FTS_NS && entry->fts_info != FTS_NSOK;
    int is_child = *what != '\0';
    /* The path of a child is not there before the child is. */
    keep("%s%s name=%s access=%s info=%d level=%d lengths=%d,%d errno=%d instr=%d cycle=%s parent=%s %s", what,
         is_child ? "" : entry->fts_path, entry->fts_name, is_child && options & FTS_NOCHDIR ? "" : entry->fts_accpath, entry->fts_info,
         entry->fts_level, entry->fts_namelen, is_child ? 0 : entry->fts_pathlen, entry->fts_errno, entry->fts_instr,
         entry->fts_info == FTS_DC ? entry->fts_cycle->fts_name : "", entry->fts_parent->fts_name, has_status ? status_text(entry->fts_statp) : "");
    /* It can be reached as it says, and is what it says. */
    if (is_child || entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NSOK)
        return;
    int link = entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
    /* Plain symlinks of another name than the mount's, and in and out again: more than stat itself can follow. */
    if (strstr(entry->fts_path, "tree/out") != NULL || strstr(entry->fts_path, "outside/return") != NULL)
        return;
    if ((link ? lstat : stat)(entry->fts_accpath, &s) != 0)
        keep("  cannot be reached: %s", error_name(errno));
    else if (has_status && (s.st_ino != entry->fts_statp->st_ino || s.st_dev != entry->fts_statp->st_dev))
        keep("  is something else");
    else if (entry->fts_info == FTS_D && (s.st_ino != entry->fts_ino || s.st_dev != entry->fts_dev || s.st_nlink != entry->fts_nlink))
        keep("  has other numbers");
}

static void keep_children(FTS *walk, int instruction, int options, int (*compare)(const FTSENT **, const FTSENT **)) {
    errno = 0;
    FTSENT *child = fts_children(walk, instruction);
    keep("  children: %s %s", child == NULL ? "none" : "some", error_name(errno));
    int count = 0, first = line_count;
    for (; child != NULL; child = child->fts_link, count++) {
        if (compare != NULL && !(instruction & FTS_NAMEONLY))
            keep_entry("  child ", child, options);
        else
            keep("  child name=%s", child->fts_name);
        /* Instructions for a child hold when its turn comes. */
        if (strcmp(child->fts_name, "same-a") == 0)
            fts_set(walk, child, FTS_SKIP);
        if (strcmp(child->fts_name, "to-dir") == 0)
            fts_set(walk, child, FTS_FOLLOW);
    }
    qsort(lines + first, line_count - first, sizeof *lines, compare_lines);
}

static void walk_roots(char **roots, int options, int (*compare)(const FTSENT **, const FTSENT **), const struct orders *orders) {
    char call[100];
    snprintf(call, sizeof call, "fts options=%x%s %s", options, compare == NULL ? "" : compare == by_name ? " up" : " down",
             orders == NULL ? "" : orders->name);
    before_walk();
    errno = 0;
    FTS *walk = fts_open(roots, options, compare);
    label(call, roots[0]);
    printf("%s %s\n", walk == NULL ? "NULL" : "walk", error_name(errno));
    if (walk == NULL)
        return;
    FTSENT *entry;
    errno = 77;
    while ((entry = fts_read(walk)) != NULL) {
        keep_entry("", entry, options);
        if (line_count > 19000)
            break;
        /* "/" is too large. */
        if (entry->fts_info == FTS_D && strcmp(entry->fts_name, "slash") == 0)
            fts_set(walk, entry, FTS_SKIP);
        for (const struct orders *order = orders; order != NULL && order->name != NULL; order++)
            if (strcmp(entry->fts_name, order->name) == 0 && (order->info == 0 || entry->fts_info == order->info)) {
                if (order->children)
                    keep_children(walk, order->children & FTS_NAMEONLY, options, compare);
                if (entry->fts_number++ < 3)
                    fts_set(walk, entry, order->instruction);
            }
    }
    keep("end: %s", error_name(errno));
    keep("after the end: %s", fts_read(walk) == NULL ? "NULL" : "more");
    if (compare == NULL)
        print_lines(call, roots[0], 40);
    else
        print_in_order(call, roots[0], 40);
    CALL("fts_close", roots[0], fts_close(walk));
    after_walk(call, roots[0]);
}

static void walk(const char *path, int options, int (*compare)(const FTSENT **, const FTSENT **), const struct orders *orders) {
    char root[2 * PATH_MAX], *roots[] = {root, NULL};
    snprintf(root, sizeof root, "%s", path);
    walk_roots(roots, options, compare, orders);
}

static const int KINDS[] = {FTS_PHYSICAL, FTS_PHYSICAL | FTS_NOCHDIR, FTS_LOGICAL};

static void every_option(const char *path, int crosses) {
    static const int MORE[] = {0, FTS_NOSTAT, FTS_SEEDOT, FTS_COMFOLLOW | FTS_NOSTAT | FTS_SEEDOT, FTS_XDEV, FTS_COMFOLLOW};
    for (int kind = 0; kind < COUNT(KINDS); kind++)
        for (int more = 0; more < COUNT(MORE); more++) {
            /* A mount of the oracle's has the device of what is around it. */
            if (crosses && MORE[more] & FTS_XDEV)
                continue;
            walk(path, KINDS[kind] | MORE[more], more % 2 ? by_name_down : by_name, NULL);
            if (more == 1)
                walk(path, KINDS[kind] | MORE[more], NULL, NULL);
        }
}

static void with_instructions(void) {
    static const struct orders ORDERS[][4] = {
        {{"sub", FTS_D, FTS_SKIP, 0}},
        {{"sub", FTS_D, FTS_AGAIN, 0}, {"same-a", 0, FTS_AGAIN, 0}},
        {{"sub", FTS_D, FTS_NOINSTR, 1}},
        {{"sub", FTS_D, FTS_NOINSTR, FTS_NAMEONLY}},
        {{"dir", FTS_D, FTS_NOINSTR, 1}, {"sub", FTS_D, FTS_SKIP, 1}},
        {{"dir", FTS_D, FTS_NOINSTR, 1}, {"sub", FTS_DP, FTS_NOINSTR, 1}, {"links", FTS_D, FTS_NOINSTR, 1}},
        {{"to-dir", FTS_SL, FTS_FOLLOW, 0}, {"dangling", FTS_SL, FTS_FOLLOW, 0}, {"to-a", FTS_SL, FTS_FOLLOW, 0}},
        {{"dangling", FTS_SLNONE, FTS_FOLLOW, 0}, {"self", 0, FTS_FOLLOW, 0}, {"to-root", FTS_SL, FTS_FOLLOW, 0}},
        {{"to-dir", FTS_SL, FTS_FOLLOW, 0}, {"to-dir", FTS_D, FTS_SKIP, 1}, {"out", FTS_SL, FTS_FOLLOW, 0}},
        {{"tree", FTS_SL, FTS_FOLLOW, 0}, {"outside", FTS_D, FTS_NOINSTR, 1}},
        {{"dir-0000", 0, FTS_AGAIN, 1}, {"dir-0111", 0, FTS_NOINSTR, 1}, {"dir-0444", 0, FTS_NOINSTR, 1}},
        {{"dir-0444", 0, FTS_NOINSTR, FTS_NAMEONLY}},
    };
    static const char *const ROOTS[] = {"dir", "links", "knots", "modes"};
    for (int number = 0; number < COUNT(ORDERS); number++)
        for (int kind = 0; kind < COUNT(KINDS); kind++) {
            for (int root = 0; root < COUNT(ROOTS); root++)
                walk(at(ROOTS[root]), KINDS[kind], by_name, ORDERS[number]);
            walk(at("../outside/walk"), KINDS[kind], by_name, ORDERS[number]);
        }
}

int main(int argc, char **argv) {
    begin(argc, argv);
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", P);
    *strrchr(parent, '/') = '\0';
    static const char *const ROOTS[] = {"dir", "dir/", "dir//", "dir/.", "modes", "modes/dir-0000", "modes/dir-0111", "modes/dir-0444/",
                                        "owners", "names", "hard", "deep", "knots", "links", "plain.txt", "plain.txt/", "missing",
                                        "links/to-dir", "links/to-dir/", "links/dangling", "links/self", "knots/out/", "knots/out/tree",
                                        "links/out/walk", "dir/sub/empty", "wide"};
    for (int number = 0; number < COUNT(ROOTS); number++)
        every_option(at(ROOTS[number]), strstr(ROOTS[number], "out") || strstr(ROOTS[number], "links") || strstr(ROOTS[number], "knots"));
    with_instructions();
    for (int kind = 0; kind < COUNT(KINDS); kind++) {
        walk(P, KINDS[kind], by_name, NULL);
        walk(parent, KINDS[kind], by_name, NULL);
        walk(parent, KINDS[kind] | FTS_NOSTAT, NULL, NULL);
    }
    strcat(parent, "/outside/walk");
    every_option(parent, 1);
    walk("", FTS_PHYSICAL, NULL, NULL);
    walk(P, FTS_PHYSICAL | 0x100, NULL, NULL);
    walk(P, 0x1000, NULL, NULL);
    CALL("fts_set", "", fts_set(NULL, NULL, 5) != 0);
    char *roots[] = {strdup(at("dir")), strdup(at("missing")), strdup(at("knots/z")), strdup(parent), strdup(at("plain.txt")), NULL};
    for (int kind = 0; kind < COUNT(KINDS); kind++) {
        walk_roots(roots, KINDS[kind], NULL, NULL);
        walk_roots(roots, KINDS[kind], by_name, NULL);
        walk_roots(roots, KINDS[kind] | FTS_COMFOLLOW, by_name_down, NULL);
    }
    CALL("chdir", "dir/sub", chdir(at("dir/sub")));
    static const char *const RELATIVE[] = {".", "..", "../sub", "empty", "../../knots", "../../../outside/walk", "./", "missing", "same-c"};
    for (int number = 0; number < COUNT(RELATIVE); number++)
        every_option(RELATIVE[number], 1);
    /* Children of a relative root, before the walk stands there. */
    static const struct orders CHILDREN[] = {{"..", FTS_D, FTS_NOINSTR, 1}, {"walk", FTS_D, FTS_NOINSTR, 1}, {"knots", FTS_D, FTS_SKIP, 1}, {NULL, 0, 0, 0}};
    for (int kind = 0; kind < COUNT(KINDS); kind++)
        for (int number = 0; number < COUNT(RELATIVE); number++)
            walk(RELATIVE[number], KINDS[kind], by_name, CHILDREN);
    CALL("chdir", "outside", chdir(parent));
    every_option("tree", 1);
    every_option("../walk", 1);
    return 0;
}
