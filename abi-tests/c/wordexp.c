/* wordexp: file names that match, among quotes, parameters and commands; every flag; made-up texts. */
#include "probe.h"
#include <sys/resource.h>
#include <wordexp.h>

static void show(const char *text, int flags, int answer, const wordexp_t *words) {
    label("wordexp", text);
    printf("flags %x: %d", flags, answer);
    if (answer == 0) {
        printf(", %zu words, offset %zu\n", words->we_wordc, flags & WRDE_DOOFFS ? words->we_offs : 0);
        for (size_t number = 0; number < words->we_wordc; number++) {
            printf("  ");
            print_text(words->we_wordv[(flags & WRDE_DOOFFS ? words->we_offs : 0) + number]);
            putchar('\n');
        }
        if (words->we_wordv[(flags & WRDE_DOOFFS ? words->we_offs : 0) + words->we_wordc] != NULL)
            printf("no NULL at the end\n");
    } else
        putchar('\n');
}

static void expand(const char *text, int flags) {
    wordexp_t words;
    memset(&words, 0, sizeof words);
    int answer = wordexp(text, &words, flags);
    show(text, flags, answer, &words);
    if (answer == 0)
        wordfree(&words);
}

static const char *const TEXTS[] = {
    "*", "*.txt", "dir/*", "d*/s*", "d*/ h*/", "missing*", "missing*/x hard/*", "names/\\*", "names/'*'", "names/\"*\"", "'names/*'", "\"names/*\"",
    "names/[a-z]*", "names/[!a-z]*", "names/?", "names/\\?*", "names/'?'*", "*'.txt'", "pl'ain'*", "pl\"ain\"*", "pl\\ain*", "x'*'y", "$D/*", "\"$D\"/*", "'$D'/*",
    "$D*", "${D}/s*", "${D}/*$S", "*$S", "d*/$S", "*$W", "$W*", "\"$W\"*", "*\"$W\"", "*'$W'", "$W", "$STAR", "\"$STAR\"", "*/$STAR", "$UNSET*", "${UNSET:-d*}", "${UNSET:-dir}/*",
    "${UNSET}/*", "${#D}*", "${D%r}*", "${D#d}*r", "$(echo dir)/*", "`echo dir`/*", "\"$(echo dir)\"/*", "$((1+1))*", "one$((1*1))*", "$[2*3]*", "~/*", "~/s*", "~root/*", "~nobody*",
    "~no-such-user/*", "x=~/*", "x=*", "a:~/*", "x=a:~/*", "~*", "\\~/*", "'~'/*", "dir/* hard/*", "dir/*\thard/*", " dir/* ", "dir/*\nhard", "dir\n*", "dir/*|x", "dir/*;x", "*&", "* & *",
    "*(", "*{a}", "{*}", "*<x", "*>x", "d*'", "d*\"", "'d*", "\"d*", "d*\\", "d*\\\\", "d*\\\n/s*", "d*'a b'", "d*\"a b\"", "d*\\ b", "''*", "\"\"*", "*''", "*\"\"", "''dir/*", "''", "'' *",
    "*`echo x`", "*$(echo b)", "d*/$(echo 'same*')", "*$", "*$?", "$?*", "$**", "$@*", "$#*", "$*x*", "links/to-dir/*", "knots/*/*", "modes/*/*", "wide/file-000?", "../outside/walk/tree/*",
    "../*/walk/*", "../t*/dir/*", "[", "[a", "d[i]r", "d[i]r/[", "[!.]*", ".*", "*/", "*/.", "$D'/'*", "hard/{first,second}*", "${UNSET:?wrong}*", "${D*}", "${D:*}", "*${D:-x*}", "*\"${D}\"",
    "a*b*c*d*e*", "?", "??r", "p?ain.t[xyz]t", "$(echo '*')", "`echo '*'`", "\"`echo '*'`\"", "*${UNSET=set}*", "$UNSET/*",
};

static void flags_and_reuse(void) {
    wordexp_t words = {.we_offs = 2};
    int answer = wordexp("d*", &words, WRDE_DOOFFS);
    show("d*", WRDE_DOOFFS, answer, &words);
    printf("%s %s\n", words.we_wordv[0] ? "?" : "NULL", words.we_wordv[1] ? "?" : "NULL");
    answer = wordexp("h* missing*", &words, WRDE_DOOFFS | WRDE_APPEND);
    show("h* missing*", WRDE_DOOFFS | WRDE_APPEND, answer, &words);
    answer = wordexp("|*", &words, WRDE_DOOFFS | WRDE_APPEND);
    show("|*", WRDE_DOOFFS | WRDE_APPEND, answer, &words);
    printf("still %zu\n", words.we_wordc);
    answer = wordexp("k*", &words, WRDE_DOOFFS | WRDE_REUSE);
    show("k*", WRDE_DOOFFS | WRDE_REUSE, answer, &words);
    wordfree(&words);
    memset(&words, 0, sizeof words);
    answer = wordexp("d*", &words, 0);
    answer = answer * 10 + wordexp("plain", &words, WRDE_APPEND);
    answer = answer * 10 + wordexp("h* \"w*\"", &words, WRDE_APPEND);
    show("appended", WRDE_APPEND, answer, &words);
    answer = wordexp("nothing", &words, WRDE_REUSE);
    show("nothing", WRDE_REUSE, answer, &words);
    answer = wordexp("w*", &words, WRDE_REUSE);
    show("w*", WRDE_REUSE, answer, &words);
    wordfree(&words);
    expand("*$(echo x)", WRDE_NOCMD);
    expand("*`echo x`", WRDE_NOCMD);
    expand("$(echo x)*", WRDE_NOCMD);
    expand("$UNSET*", WRDE_UNDEF);
    expand("*$UNSET", WRDE_UNDEF);
    expand("*$D", WRDE_UNDEF);
    expand("$(echo x; echo wrong >&2)*", WRDE_SHOWERR);
    expand("$(echo x; echo wrong >&2)*", 0);
}

#ifdef __GLIBC__
/* Texts that nobody would write, the same in each run. */
static void made_up(int count) {
    static const char *const PARTS[] = {"*", "?", "[", "]", "d*", "dir", "/", "h", "ard", "a", "b", " ", "  ", "'", "'*'", "\"", "\"*\"", "\\", "\\*", "$D", "${D}", "$W", "$STAR",
                                        "${UNSET:-a*}", "${W}", "\"$W\"", "~", "~root", "=", ":", "x=", "'", "\"", "s*", "''", "\"\"", "$", "{", "}", "|", "\n", "\t", "$((2*2))", "$UNSET", "`", "[a-z]"};
    uint64_t random = 88172645463325252u;
    for (int number = 0; number < count; number++) {
        char text[300] = "";
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        int parts = 1 + random % 9;
        for (int part = 0; part < parts; part++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            /* Half of the parts are harmless, so that not most texts end in an error. */
            strcat(text, PARTS[random % 2 ? random / 2 % COUNT(PARTS) : random / 2 % 14]);
        }
        /* `$$` is another process each time. */
        if (strstr(text, "$$") == NULL)
            expand(text, WRDE_NOCMD | (number % 7 == 0 ? WRDE_UNDEF : 0));
    }
}
#endif

int main(int argc, char **argv) {
    begin(argc, argv);
    /* Should anything loop in here, it is not to take the machine with it. */
    struct rlimit memory = {1 << 30, 1 << 30};
    setrlimit(RLIMIT_AS, &memory);
    CALL("chdir", "", chdir(P));
    setenv("D", "dir", 1);
    setenv("S", "sub", 1);
    setenv("W", "a h* d*", 1);
    setenv("STAR", "*", 1);
    setenv("HOME", at("dir"), 1);
    unsetenv("UNSET");
#ifdef __GLIBC__
    static const char *const SEPARATORS[] = {NULL, "", ":", " ", "/", ": ", "\n"}; /* not "*": glibc loops until memory ends */
#else /* each is a shell */
    static const char *const SEPARATORS[] = {NULL};
#endif
    for (int way = 0; way < COUNT(SEPARATORS); way++) {
        if (SEPARATORS[way] != NULL)
            setenv("IFS", SEPARATORS[way], 1);
        for (int number = 0; number < COUNT(TEXTS); number++) {
#ifndef __GLIBC__
            if (number % 3 != 0)
                continue;
#endif
            /* Commands are processes: once is enough. */
            if (way == 0 || (strstr(TEXTS[number], "$(") == NULL && strchr(TEXTS[number], '`') == NULL))
                expand(TEXTS[number], 0);
            unsetenv("UNSET");
        }
#ifdef __GLIBC__
        made_up(way == 0 ? 1500 : 400);
#endif
    }
    unsetenv("IFS");
    flags_and_reuse();
    expand(at("dir/*"), 0);
    expand(at("../outside/walk/tree/*"), 0);
    expand(at("../t*/*.txt"), 0);
    CALL("chdir", "knots/z", chdir(at("knots/z")));
    expand("* ../*/* to-a/*", 0);
    CALL("chdir", "outside", chdir(at("../outside/walk")));
    expand("* */* tree/a/* ../../t*/dir/*", 0);
    return 0;
}
