/* Every way to start a program, on served programs and scripts of every kind. */
#include "probe.h"
#include <spawn.h>

extern char **environ;

/* Waits for a child and says how it ended. */
static void reap(const char *call, const char *path, pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    label(call, path);
    printf("%s %d\n", WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
}

/* Runs `body`, which execs or fails, in a child. */
#define CHILD(name, path, body)               \
    do {                                      \
        fflush(stdout);                       \
        pid_t child_ = fork();                \
        if (child_ == 0) {                    \
            errno = 0;                        \
            body;                             \
            printf("%s: %s\n", name, error_name(errno)); \
            fflush(stdout);                   \
            _exit(99);                        \
        }                                     \
        reap(name, path, child_);             \
    } while (0)

static void by_exec(const char *rel) {
    const char *path = at(rel), *name = strrchr(path, '/') + 1;
    char *arguments[] = {"zero", "one", "", NULL}, *bare[] = {"MARK=bare", "PATH=/usr/bin:/bin", NULL}, *empty[] = {NULL};
    static const char search[] = "PATH";
    char paths[3 * PATH_MAX];
    snprintf(paths, sizeof paths, "/nonexistent:%s:%s:/usr/bin:/bin", at("dir"), at("bin"));
    setenv("MARK", "set", 1);
    CHILD("execve", rel, execve(path, arguments, environ));
    CHILD("execve bare", rel, execve(path, arguments, bare));
    CHILD("execve empty", rel, execve(path, arguments, empty));
    CHILD("execve no arguments", rel, execve(path, empty, environ));
    CHILD("SYS_execve", rel, syscall(SYS_execve, path, arguments, environ));
    CHILD("execv", rel, execv(path, arguments));
    CHILD("execl", rel, execl(path, "zero", "a", "b", "c", "d", "e", "f", "g", "h", NULL));
    CHILD("execle", rel, execle(path, "zero", "one", NULL, bare));
    CHILD("execvp absolute", rel, execvp(path, arguments));
    CHILD("execvp", rel, (setenv(search, paths, 1), execvp(name, arguments)));
    CHILD("execlp", rel, (setenv(search, paths, 1), execlp(name, "zero", "one", "two", NULL)));
    CHILD("execvp in cwd", rel, (setenv(search, ".", 1), chdir(at("bin")), execvp(name, arguments)));
    CHILD("execvp empty PATH", rel, (setenv(search, "", 1), chdir(at("bin")), execvp(name, arguments)));
#ifdef __GLIBC__
    CHILD("execvpe", rel, (setenv(search, paths, 1), execvpe(name, arguments, bare)));
    /* A script through a descriptor that closes on exec cannot be read by its interpreter. */
    CHILD("execveat", rel, execveat(open_directory(P), rel, arguments, environ, 0));
    CHILD("execveat kept", rel, execveat(open(P, O_RDONLY | O_DIRECTORY), rel, arguments, environ, 0));
    CHILD("execveat nofollow", rel, execveat(open_directory(P), rel, arguments, environ, AT_SYMLINK_NOFOLLOW));
    CHILD("execveat absolute", rel, execveat(-1, path, arguments, environ, 0));
    CHILD("execveat empty", rel, execveat(open(path, O_PATH), "", arguments, environ, AT_EMPTY_PATH));
    CHILD("execveat empty closing", rel, execveat(open(path, O_PATH | O_CLOEXEC), "", arguments, environ, AT_EMPTY_PATH));
    CHILD("execveat no descriptor", rel, execveat(77, "", arguments, environ, AT_EMPTY_PATH));
    CHILD("execveat no empty path", rel, execveat(open(path, O_PATH), "", arguments, environ, 0));
    CHILD("execveat check", rel, execveat(AT_FDCWD, path, arguments, environ, 0x10000 /* AT_EXECVE_CHECK */));
    CHILD("execveat bad flags", rel, execveat(AT_FDCWD, path, arguments, environ, 0x4000000));
#endif
    CHILD("fexecve", rel, fexecve(open(path, O_RDONLY), arguments, environ));
    CHILD("fexecve closing", rel, fexecve(open(path, O_RDONLY | O_CLOEXEC), arguments, environ));
    CHILD("execve bad arguments", rel, execve(path, (char **)8, environ));
    CHILD("execve bad argument", rel, execve(path, (char *[]){"zero", (char *)-1, NULL}, environ));
    CHILD("execve bad environment", rel, execve(path, arguments, (char **)-1));
    CHILD("execve bad variable", rel, execve(path, arguments, (char *[]){"A=1", (char *)8, NULL}));
    CHILD("execv relative", rel, (chdir(at("dir")), strcpy(paths, "../"), strcat(paths, rel), execv(paths, arguments)));
    CHILD("execv after chdir", rel, (chdir(at("bin")), execv(name, arguments)));
    fflush(stdout);
    pid_t child = vfork();
    if (child == 0) {
        execve(path, arguments, environ);
        _exit(errno == 0 ? 98 : 97);
    }
    reap("vfork and execve", rel, child);
}

static void spawned(const char *name, const char *path, int error, pid_t child) {
    /* Not a word before the child is done with the same output. */
    if (error == 0) {
        reap(name, path, child);
        return;
    }
    label(name, path);
    printf("%s\n", error_name(error));
    fflush(stdout);
}

static void by_spawn(const char *rel) {
    const char *path = at(rel), *name = strrchr(path, '/') + 1;
    char *arguments[] = {"zero", "one", NULL}, *bare[] = {"MARK=bare", NULL};
    pid_t child = 0;
    char paths[3 * PATH_MAX], saved[4096];
    int error;
    fflush(stdout);
    error = posix_spawn(&child, path, NULL, NULL, arguments, environ);
    spawned("posix_spawn", rel, error, child);
    error = posix_spawn(&child, path, NULL, NULL, arguments, bare);
    spawned("posix_spawn bare", rel, error, child);
    snprintf(saved, sizeof saved, "%s", getenv("PATH"));
    snprintf(paths, sizeof paths, "%s:%s", at("dir"), at("bin"));
    setenv("PATH", paths, 1);
    error = posix_spawnp(&child, name, NULL, NULL, arguments, environ);
    spawned("posix_spawnp", rel, error, child);
    setenv("PATH", saved, 1);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, at("plain.txt"), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 9, at("dir"), O_RDONLY | O_DIRECTORY, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 8);
#ifdef __GLIBC__
    posix_spawn_file_actions_addchdir_np(&actions, at("bin"));
    posix_spawn_file_actions_addopen(&actions, 7, "../plain.txt", O_RDONLY, 0);
#endif
    error = posix_spawn(&child, path, &actions, NULL, arguments, environ);
    spawned("posix_spawn with actions", rel, error, child);
#ifdef __GLIBC__
    error = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
    spawned("posix_spawnp with actions", rel, error, child);
    posix_spawn_file_actions_t more;
    posix_spawn_file_actions_init(&more);
    int dir = open_directory(at("bin"));
    fcntl(dir, F_SETFD, 0);
    posix_spawn_file_actions_addfchdir_np(&more, dir);
    posix_spawn_file_actions_addclosefrom_np(&more, 3);
    error = posix_spawn(&child, path, &more, NULL, arguments, environ);
    spawned("posix_spawn by directory", rel, error, child);
    close(dir);
    posix_spawn_file_actions_destroy(&more);
#endif
    posix_spawn_file_actions_destroy(&actions);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, at("missing"), O_RDONLY, 0);
    error = posix_spawn(&child, path, &actions, NULL, arguments, environ);
    spawned("posix_spawn with a missing input", rel, error, child);
    posix_spawn_file_actions_destroy(&actions);
}

static void by_shell(const char *rel) {
    char command[2 * PATH_MAX], line[512];
    fflush(stdout);
    snprintf(command, sizeof command, "'%s' one < /dev/null", at(rel));
    CALL("system", rel, system(command));
    fflush(stdout);
    snprintf(command, sizeof command, "cd '%s' && ./%s two < near", at("bin"), strrchr(at(rel), '/') + 1);
    CALL("system in the tree", rel, system(command));
    fflush(stdout);
    FILE *pipe = popen(command, "r");
    while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL)
        printf("popen: %s", line);
    CALL("pclose", rel, pipe == NULL ? -1 : pclose(pipe));
    fflush(stdout);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    static const char *const PROGRAMS[] = {
        "bin/tool", "bin/tool-link", "bin/script", "bin/script-link", "bin/by-env", "bin/by-served", "bin/by-served-argument", "bin/nested",
        "bin/no-shebang", "bin/empty", "bin/garbage", "bin/not-executable", "bin/shebang-missing", "bin/shebang-directory", "bin/shebang-relative",
        "bin/shebang-space", "bin/shebang-long", "bin/shebang-bare", "bin/shebang-only", "bin/missing", "bin/not-executable/below", "bin/loop",
        "bin/with-library", "bin/outside", "bin", "bin/deep-5", "bin/deep-6", "bin/deep-7", "bin/lost-6", "bin/shebang-end", "bin/shebang-nul",
        "bin/own-loader", "bin/by-own-loader", "bin/no-loader",
    };
    for (int number = 0; number < COUNT(PROGRAMS); number++) {
        printf("-- %s\n", PROGRAMS[number]);
        by_exec(PROGRAMS[number]);
        by_spawn(PROGRAMS[number]);
        by_shell(PROGRAMS[number]);
    }
    printf("-- outside programs\n");
    char *arguments[] = {"cat", (char *)at("plain.txt"), NULL}, *empty[] = {NULL};
    CHILD("execve without environment", "cat", execve("/bin/cat", arguments, empty));
    CHILD("execve NULL environment", "cat", execve("/bin/cat", arguments, NULL));
    CHILD("execvp", "cat", execvp("cat", arguments));
    CHILD("execl env -i", "cat", execl("/usr/bin/env", "env", "-i", "/bin/cat", at("plain.txt"), NULL));
    CHILD("execve in cwd", "cat", (chdir(at("dir")), execl("/bin/cat", "cat", "same-a", NULL)));
    return 0;
}
