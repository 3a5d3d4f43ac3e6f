/* glob: patterns, every flag, functions of the caller's own, errors. */
#include "probe.h"
#include "sorted.h"
#include <glob.h>

#ifndef GLOB_BRACE /* musl */
#define GLOB_BRACE 0
#define GLOB_NOMAGIC 0
#define GLOB_ONLYDIR 0
#endif
#ifndef GLOB_ALTDIRFUNC
#define GLOB_ALTDIRFUNC 0
#endif
#ifndef GLOB_MAGCHAR
#define GLOB_MAGCHAR 0
#endif

static int error_answer;

static int on_error(const char *path, int error) {
    keep("error at %s: %s", path, error_name(error));
    return error_answer;
}

/* What a call has found; in the order of the directory if it was not to be sorted. */
static void show(const char *call, const char *pattern, int answer, int flags, glob_t *found) {
    label(call, pattern);
    printf("flags %x: %d, %zu paths\n", flags, answer, answer == 0 ? found->gl_pathc : 0);
    print_lines("errors", pattern, 20);
    if (answer != 0 && answer != GLOB_ABORTED)
        return;
    for (size_t number = 0; found->gl_pathv != NULL && number < found->gl_pathc; number++)
        keep("%s", found->gl_pathv[(flags & GLOB_DOOFFS ? found->gl_offs : 0) + number]);
    if (found->gl_pathv != NULL && found->gl_pathv[(flags & GLOB_DOOFFS ? found->gl_offs : 0) + found->gl_pathc] != NULL)
        printf("no NULL at the end\n");
    if (flags & GLOB_NOSORT)
        print_lines(call, pattern, 40);
    else
        print_in_order(call, pattern, 40);
#ifdef __GLIBC__
    printf("flags of %s: %x\n", pattern, found->gl_flags);
#endif
    globfree(found);
}

/* Whether it is the order of a directory that decides what comes before an error that ends the search. */
static int is_left_to_order(const char *pattern, int flags) {
    const char *magic = strpbrk(pattern, "*?[{");
    return (flags & GLOB_ERR || error_answer != 0) && magic != NULL && strchr(magic, '/') != NULL;
}

static void find(const char *pattern, int flags) {
    glob_t found;
    if (is_left_to_order(pattern, flags))
        return;
    memset(&found, 0, sizeof found);
    before_walk();
    int answer = glob(pattern, flags, on_error, &found);
    show("glob", pattern, answer, flags, &found);
    after_walk("glob", pattern);
}

static void offsets_and_appending(void) {
    glob_t found = {.gl_offs = 3};
    int answer = glob(at("dir/*"), GLOB_DOOFFS, NULL, &found);
    answer = answer * 10 + glob(at("hard/*"), GLOB_DOOFFS | GLOB_APPEND, NULL, &found);
    answer = answer * 10 + glob(at("missing/*"), GLOB_DOOFFS | GLOB_APPEND, NULL, &found);
    answer = answer * 10 + glob(at("missing/*"), GLOB_DOOFFS | GLOB_APPEND | GLOB_NOCHECK, NULL, &found);
    answer = answer * 10 + glob(at("knots/*"), GLOB_DOOFFS | GLOB_APPEND | GLOB_MARK, NULL, &found);
    printf("offsets: %d, %s %s %s\n", answer, found.gl_pathv[0] ? "?" : "NULL", found.gl_pathv[1] ? "?" : "NULL", found.gl_pathv[2] ? "?" : "NULL");
    show("appended", "dir, hard, knots", 0, GLOB_DOOFFS, &found);
    memset(&found, 0, sizeof found);
    answer = glob(at("dir/*"), 0, NULL, &found);
    answer = answer * 10 + glob(at("hard/*"), GLOB_APPEND, NULL, &found);
    show("appended", "dir, hard", answer, 0, &found);
}

#ifdef __GLIBC__
static int calls;
static struct dirent made_up;
static int made_up_left;

static void *count_opendir(const char *path) {
    calls++;
    return opendir(path);
}
static void *odd_opendir(const char *path) {
    made_up_left = 3;
    return &made_up;
}
static struct dirent *odd_readdir(void *dir) {
    if (made_up_left == 0)
        return NULL;
    sprintf(made_up.d_name, "made-up-%d", made_up_left--);
    made_up.d_ino = 1, made_up.d_type = DT_REG;
    return &made_up;
}
static void odd_closedir(void *dir) {
}
static int odd_stat(const char *path, struct stat *s) {
    memset(s, 0, sizeof *s);
    s->st_mode = S_IFREG | 0644;
    return 0;
}

static void own_functions(void) {
    glob_t found;
    memset(&found, 0, sizeof found);
    found.gl_opendir = count_opendir, found.gl_readdir = (void *)readdir, found.gl_closedir = (void *)closedir;
    found.gl_stat = (void *)stat, found.gl_lstat = (void *)lstat;
    int answer = glob(at("*/sub/*"), GLOB_ALTDIRFUNC | GLOB_MARK, NULL, &found);
    printf("own functions were called: %d, kept: %d\n", calls > 0, found.gl_opendir == count_opendir);
    show("own functions", "*/sub/*", answer, GLOB_ALTDIRFUNC, &found);
    memset(&found, 0, sizeof found);
    found.gl_opendir = odd_opendir, found.gl_readdir = (void *)odd_readdir, found.gl_closedir = odd_closedir;
    found.gl_stat = (void *)odd_stat, found.gl_lstat = (void *)odd_stat;
    answer = glob(at("dir/made*"), GLOB_ALTDIRFUNC, NULL, &found);
    show("made up", "dir/made*", answer, GLOB_ALTDIRFUNC, &found);
    /* Without the flag they are neither called nor lost. */
    memset(&found, 0, sizeof found);
    found.gl_opendir = odd_opendir, calls = 0;
    answer = glob(at("dir/*"), 0, NULL, &found);
    printf("not asked for: %d\n", found.gl_opendir == odd_opendir);
    show("not asked for", "dir/*", answer, 0, &found);
}
#endif

static const int FLAGS[] = {
    0,           GLOB_MARK,        GLOB_NOSORT | GLOB_NOCHECK, GLOB_NOESCAPE,          GLOB_PERIOD,
    GLOB_ERR,    GLOB_PERIOD | GLOB_MARK | GLOB_NOESCAPE, GLOB_TILDE | GLOB_NOCHECK, GLOB_TILDE_CHECK, GLOB_TILDE_CHECK | GLOB_NOCHECK,
    GLOB_BRACE,  GLOB_NOMAGIC,     GLOB_ONLYDIR,               GLOB_BRACE | GLOB_ONLYDIR | GLOB_PERIOD | GLOB_MARK,
    GLOB_BRACE | GLOB_NOMAGIC | GLOB_NOCHECK, GLOB_BRACE | GLOB_TILDE,
};

static const char *const PATTERNS[] = {
    "*", "*.txt", "dir/*", "dir/*/", "dir//*", "*/sub/*", "links/to-dir/*", "links/chain-4?", "modes/*/file", "modes/*/*", "names/*", "names/.*",
    "names/[a-z]*", "names/[!a-z]*", "names/[[:alpha:]]*", "names/\\*", "names/\\?\\[a-z]", "names/back\\\\slash", "names/[]*]", "names/[", "names/a[",
    "names/[a/z", "names/a\\/z", "names/a\\/*", "names/*\\/z", "names/a*\\", "names/*/", "names/?", "missing/*", "missing*/x", "missing",
    "{plain.txt,one,two}", "{dir,hard}/*", "d{ir,oor}/{same-*,sub}", "{", "{}", "{a", "hard/*/../*", "hard/*/..", "links/loop-*", "links/*/same-a",
    "plain.txt/*", "plain.txt", "plain.txt/", "*/", "wide/file-000?", "wide/file-0[0-2]*9", "deep/*/*/*/*/*", "knots/*/*", "knots/*/*/*", "knots/out/*/*",
    "knots/out/tree/*", "links/out/walk/tree/*/*", "modes/dir-0000/*", "modes/dir-0000/file", "modes/dir-0444/*", "modes/dir-0111/*", "modes/dir-0111/file",
    "links/dangling", "links/dang*", "links/self*", "links/to-root/d*", ".", "./*", ".*", "..", "", "/", "*/.", "*/..", "dir/.*", "../*", "../*/walk", "../out*/walk/*",
    "../outside/walk/tree/*", "../outside/walk/*/*", "../t*/dir/*", "../[t]ree/*.txt",
};

int main(int argc, char **argv) {
    begin(argc, argv);
    for (int number = 0; number < COUNT(PATTERNS); number++)
        for (int flags = 0; flags < COUNT(FLAGS); flags++)
            if (FLAGS[flags] != 0 || flags == 0)
                find(at(PATTERNS[number]), FLAGS[flags]);
    /* A callback that ends the search. */
    error_answer = 1;
    for (int number = 0; number < COUNT(PATTERNS); number++)
        find(at(PATTERNS[number]), number % 2 ? GLOB_NOCHECK : GLOB_MARK);
    error_answer = 0;
    offsets_and_appending();
#ifdef __GLIBC__
    own_functions();
#endif
    static const char *const TILDES[] = {"~", "~/", "~/*", "~root", "~root/", "~nobody/*", "~no-such-user", "~no-such-user/*", "~*", "\\~/*", "~/sub/*", "~/{sub,x}*"};
    for (int home = 0; home < 4; home++) {
        if (home == 3)
            unsetenv("HOME");
        else
            setenv("HOME", home == 0 ? at("dir") : home == 1 ? at("missing") : "", 1);
        for (int number = 0; number < COUNT(TILDES); number++)
            for (int flags = 0; flags < COUNT(FLAGS); flags++)
                if (FLAGS[flags] & (GLOB_TILDE | GLOB_TILDE_CHECK) && (home != 3 || strchr(TILDES[number], '*') == NULL))
                    find(TILDES[number], FLAGS[flags]);
    }
    find("/*", GLOB_ONLYDIR | GLOB_MARK | GLOB_NOSORT);
    find("/e[t]c/host*", 0);
    char too_long[2 * PATH_MAX];
    memset(too_long, 'x', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    too_long[200] = '*';
    find(at(too_long), 0);
    too_long[4000] = '\0';
    find(at(too_long), GLOB_NOCHECK);
    static const char *const PLACES[] = {"", "dir", "knots/z", "names", "../outside/walk", "modes/dir-0444"};
    static const char *const RELATIVE[] = {"*", "*/*", "./*", "../*", "../*/*b", "tree/*", ".*", "*/", "{a,.}*", "t*/../plain.txt", "*/*/*/../file", "[!.]*", ""};
    for (int place = 0; place < COUNT(PLACES); place++) {
        CALL("chdir", PLACES[place], chdir(at(PLACES[place])));
        for (int number = 0; number < COUNT(RELATIVE); number++)
            for (int flags = 0; flags < COUNT(FLAGS); flags += 3)
                find(RELATIVE[number], FLAGS[flags]);
    }
    return 0;
}
