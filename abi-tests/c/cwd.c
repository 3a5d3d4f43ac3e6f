/* chdir, fchdir, getcwd and relative paths after them. */
#include "probe.h"
#include "paths.h"

#ifdef __GLIBC__
char *__getcwd_chk(char *, size_t, size_t);
char *__getwd_chk(char *, size_t);
#endif
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static char buffer[PATH_MAX + 1];

static void here(void) {
    TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
    STAT("stat .", "", stat(".", &s));
    STAT("lstat ..", "", lstat("..", &s));
    CALL("access plain.txt", "", access("plain.txt", R_OK));
    CALL("access ../plain.txt", "", access("../plain.txt", R_OK));
    OPEN("open same-a", "", open("same-a", O_RDONLY));
    OPEN("open .", "", open(".", O_RDONLY | O_DIRECTORY));
    TEXT("realpath .", "", realpath(".", buffer));
    STAT("stat empty", "", stat("", &s));
    STAT("fstatat AT_FDCWD empty", "", fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH));
}

static void forms_of_getcwd(void) {
    char *allocated = NULL;
    size_t length = strlen(getcwd(buffer, sizeof buffer));
    CALL("getcwd length", "", length);
    TEXT("getcwd exact", "", getcwd(buffer, length + 1));
    TEXT("getcwd one too small", "", getcwd(buffer, length));
    TEXT("getcwd 1", "", getcwd(buffer, 1));
    TEXT("getcwd 0", "", getcwd(buffer, 0));
    TEXT("getcwd NULL 0", "", allocated = getcwd(NULL, 0));
    free(allocated);
    allocated = NULL;
    CALL("SYS_getcwd", "", syscall(SYS_getcwd, buffer, sizeof buffer));
    CALL("SYS_getcwd small", "", syscall(SYS_getcwd, buffer, 3));
    CALL("SYS_getcwd NULL", "", syscall(SYS_getcwd, NULL, 4096));
#ifdef __GLIBC__
    TEXT("getcwd NULL 4096", "", allocated = getcwd(NULL, 4096));
    free(allocated);
    allocated = NULL;
    TEXT("getcwd NULL small", "", allocated = getcwd(NULL, 3));
    free(allocated);
    TEXT("__getcwd_chk", "", __getcwd_chk(buffer, sizeof buffer, sizeof buffer));
    TEXT("getwd", "", getwd(buffer));
    TEXT("__getwd_chk", "", __getwd_chk(buffer, sizeof buffer));
#endif
    unsetenv("PWD");
    TEXT("get_current_dir_name without PWD", "", allocated = get_current_dir_name());
    free(allocated);
    setenv("PWD", at("links/to-dir"), 1);
    TEXT("get_current_dir_name with a link", "", allocated = get_current_dir_name());
    free(allocated);
    setenv("PWD", "/nonsense", 1);
    TEXT("get_current_dir_name with nonsense", "", allocated = get_current_dir_name());
    free(allocated);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    for (int number = 0; number < COUNT(PATHS); number++) {
        CALL("chdir /", "", chdir("/"));
        CALL("chdir", PATHS[number], chdir(at(PATHS[number])));
        here();
        CALL("SYS_chdir", PATHS[number], syscall(SYS_chdir, at(PATHS[number])));
        CALL("chdir relative", PATHS[number], chdir(P) == 0 ? chdir(PATHS[number][0] == 0 ? "." : PATHS[number]) : -2);
        TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
        static const int WAYS[] = {O_RDONLY | O_NONBLOCK, O_PATH, O_PATH | O_NOFOLLOW};
        for (int way = 0; way < COUNT(WAYS); way++) {
            int fd = open(at(PATHS[number]), WAYS[way]);
            if (fd == -1)
                continue;
            CALL("fchdir", PATHS[number], fchdir(fd));
            TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
            CALL("SYS_fchdir", PATHS[number], syscall(SYS_fchdir, fd));
            close(fd);
        }
    }
    printf("-- a walk\n");
    static const char *const WALK[] = {"..", "outside", "..", "tree", "dir", "sub", "..", "missing", "../links/to-dir", "sub", "..", "../..",
                                       "tree/links/out", "..", "tree", "links/dotdot/deep", "level-00/level-01/../..", "../..", "../../../../../..", "tree"};
    CALL("chdir", P, chdir(P));
    for (int step = 0; step < COUNT(WALK); step++) {
        CALL("step", WALK[step], chdir(WALK[step]));
        here();
    }
    CALL("chdir", "dir", chdir(at("dir")));
    forms_of_getcwd();
    printf("-- a child keeps it\n");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        here();
        CALL("child's chdir", "sub", chdir("sub"));
        here();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    here();
    CALL("fchdir -1", "", fchdir(-1));
    CALL("chdir NULL", "", syscall(SYS_chdir, NULL));
    return 0;
}
