/* posix_spawn with every file action and attribute, shells with a scrubbed environment, children that share
 * memory, and arguments and environments of every size. Runs programs of the tree that exec.c runs. */
#include "probe.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>

extern char **environ;

static void ended(const char *call, const char *path, int error, pid_t child) {
    int status = 0;
    if (error == 0)
        waitpid(child, &status, 0);
    label(call, path);
    if (error != 0)
        printf("%s\n", error_name(error));
    else
        printf("%s %d\n", WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
}

/* Spawns `program` (relative ones as the child finds them) after `setup` filled `actions`. */
#define SPAWN(name, program, attributes, setup)                                            \
    do {                                                                                   \
        posix_spawn_file_actions_t actions;                                                \
        char *arguments_[] = {"zero", "one", NULL};                                        \
        pid_t child_ = 0;                                                                  \
        memset(&actions, 0x5a, sizeof actions);                                            \
        posix_spawn_file_actions_init(&actions);                                           \
        fflush(stdout);                                                                    \
        setup;                                                                             \
        int error_ = posix_spawn(&child_, program, &actions, attributes, arguments_, environ); \
        ended(name, strncmp(program, P, strlen(P)) ? program : program + strlen(P), error_, child_); \
        error_ = posix_spawnp(&child_, program, &actions, attributes, arguments_, environ); \
        ended(name " by name", strncmp(program, P, strlen(P)) ? program : program + strlen(P), error_, child_); \
        posix_spawn_file_actions_destroy(&actions);                                        \
    } while (0)

#define OPEN(fd, path, flags) posix_spawn_file_actions_addopen(&actions, fd, path, flags, 0644)
#define DUP(from, to) posix_spawn_file_actions_adddup2(&actions, from, to)
#define CLOSE(fd) posix_spawn_file_actions_addclose(&actions, fd)
#define CHDIR(path) posix_spawn_file_actions_addchdir_np(&actions, path)
#define FCHDIR(fd) posix_spawn_file_actions_addfchdir_np(&actions, fd)

static void with_actions(void) {
    const char *tool = strdup(at("bin/tool")), *script = strdup(at("bin/script")), *bin = strdup(at("bin")), *dir = strdup(at("dir"));
    const char *plain = strdup(at("plain.txt")), *above = strdup(at("..")), *file = strdup(at("bin/near"));
    SPAWN("nothing", tool, NULL, (void)0);
    SPAWN("open", tool, NULL, OPEN(0, plain, O_RDONLY));
    SPAWN("open a directory", tool, NULL, OPEN(9, dir, O_RDONLY | O_DIRECTORY));
    SPAWN("open missing", tool, NULL, OPEN(0, at("missing"), O_RDONLY));
    SPAWN("open below a file", tool, NULL, OPEN(0, at("plain.txt/below"), O_RDONLY));
    SPAWN("open to write", tool, NULL, OPEN(9, plain, O_WRONLY));
    SPAWN("open to truncate", tool, NULL, OPEN(9, plain, O_WRONLY | O_TRUNC));
    SPAWN("create", tool, NULL, OPEN(9, at("new"), O_WRONLY | O_CREAT));
    SPAWN("create what is there", tool, NULL, OPEN(9, plain, O_WRONLY | O_CREAT | O_EXCL));
    SPAWN("create under a slash", tool, NULL, OPEN(9, at("new/"), O_WRONLY | O_CREAT));
    SPAWN("create a directory", tool, NULL, OPEN(9, dir, O_WRONLY | O_CREAT));
    SPAWN("open a loop", tool, NULL, OPEN(9, at("bin/loop"), O_RDONLY));
    SPAWN("open outside", tool, NULL, OPEN(0, "/etc/hostname", O_RDONLY));
    SPAWN("close", tool, NULL, (OPEN(9, plain, O_RDONLY), CLOSE(9), CLOSE(9)));
    SPAWN("dup2", tool, NULL, (OPEN(9, plain, O_RDONLY), DUP(9, 0), CLOSE(9)));
    SPAWN("bad descriptors", tool, NULL, (OPEN(-1, plain, O_RDONLY), DUP(-1, 3)));
    int kept = open(bin, O_RDONLY | O_DIRECTORY), closing = open_directory(bin);
    SPAWN("dup2 to itself", tool, NULL, DUP(closing, closing));
#ifdef __GLIBC__
    SPAWN("chdir", tool, NULL, CHDIR(bin));
    SPAWN("chdir and open", tool, NULL, (CHDIR(bin), OPEN(0, "near", O_RDONLY)));
    SPAWN("chdir and open above", tool, NULL, (CHDIR(bin), OPEN(0, "../plain.txt", O_RDONLY)));
    SPAWN("chdir and open missing", tool, NULL, (CHDIR(bin), OPEN(0, "plain.txt", O_RDONLY)));
    SPAWN("chdir and create", tool, NULL, (CHDIR(bin), OPEN(9, "new", O_WRONLY | O_CREAT)));
    SPAWN("chdir, chdir and open", tool, NULL, (CHDIR(bin), CHDIR("../dir"), OPEN(0, "same-a", O_RDONLY)));
    SPAWN("chdir above", tool, NULL, (CHDIR(above), CHDIR("tree/bin"), OPEN(0, "near", O_RDONLY)));
    SPAWN("chdir out and open", tool, NULL, (CHDIR(bin), CHDIR("/etc"), OPEN(0, "hostname", O_RDONLY)));
    SPAWN("chdir to a file", tool, NULL, CHDIR(file));
    SPAWN("chdir to nothing", tool, NULL, CHDIR(at("missing")));
    SPAWN("chdir and a relative program", "./tool", NULL, CHDIR(bin));
    SPAWN("chdir and a relative script", "./script", NULL, CHDIR(bin));
    SPAWN("chdir and a program above", "../bin/script", NULL, CHDIR(dir));
    SPAWN("chdir and a program elsewhere", "./tool", NULL, CHDIR(dir));
    SPAWN("chdir out and a relative program", "bin/echo", NULL, (CHDIR(bin), CHDIR("/")));
    SPAWN("fchdir", tool, NULL, (FCHDIR(kept), OPEN(0, "near", O_RDONLY)));
    SPAWN("fchdir of a closing one", "./script", NULL, FCHDIR(closing));
    SPAWN("fchdir of an opened one", "./script", NULL, (OPEN(20, dir, O_RDONLY), FCHDIR(20), FCHDIR(kept)));
    SPAWN("fchdir of an opened one, open", tool, NULL, (OPEN(20, bin, O_RDONLY), FCHDIR(20), OPEN(0, "near", O_RDONLY), CLOSE(20)));
    SPAWN("fchdir of a copied one", tool, NULL, (DUP(kept, 20), FCHDIR(20), OPEN(0, "near", O_RDONLY), CLOSE(20)));
    SPAWN("fchdir of a replaced one", tool, NULL, (OPEN(kept, dir, O_RDONLY), FCHDIR(kept), OPEN(0, "same-a", O_RDONLY)));
    SPAWN("fchdir of a file", tool, NULL, (OPEN(20, plain, O_RDONLY), FCHDIR(20)));
    SPAWN("fchdir of nothing", tool, NULL, FCHDIR(77));
    SPAWN("closefrom", script, NULL, posix_spawn_file_actions_addclosefrom_np(&actions, 3));
    chdir(dir);
    SPAWN("from a served directory", "../bin/tool", NULL, OPEN(0, "same-a", O_RDONLY));
    SPAWN("from a served directory, chdir", "./tool", NULL, (CHDIR("../bin"), OPEN(0, "near", O_RDONLY)));
    chdir("/");
    char paths[3 * PATH_MAX];
    setenv("PATH", "bin:/usr/bin:/bin", 1);
    SPAWN("PATH from another directory", "script", NULL, CHDIR(P));
    snprintf(paths, sizeof paths, "/nonexistent:%s:%s:/usr/bin:/bin", dir, bin);
    setenv("PATH", paths, 1);
    SPAWN("PATH", "script", NULL, CHDIR(dir));
    SPAWN("PATH, not executable", "not-executable", NULL, (void)0);
    SPAWN("PATH, missing", "missing", NULL, (void)0);
    SPAWN("PATH, outside", "true", NULL, (void)0);
    setenv("PATH", "/usr/bin:/bin", 1);
#endif
    close(kept);
    close(closing);
}

static void with_attributes(void) {
    const char *tool = strdup(at("bin/tool"));
    posix_spawnattr_t attributes;
    sigset_t set;
    sigfillset(&set);
    static const short FLAGS[] = {
        0, POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_RESETIDS, POSIX_SPAWN_SETSIGMASK, POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSID,
#ifdef POSIX_SPAWN_USEVFORK
        POSIX_SPAWN_USEVFORK,
#endif
    };
    for (int number = 0; number < COUNT(FLAGS); number++) {
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, FLAGS[number]);
        posix_spawnattr_setsigmask(&attributes, &set);
        posix_spawnattr_setsigdefault(&attributes, &set);
        printf("attribute %#x\n", FLAGS[number]);
        SPAWN("attributes", tool, &attributes, OPEN(0, at("plain.txt"), O_RDONLY));
        posix_spawnattr_destroy(&attributes);
    }
}

typedef int Spawn(int *, const char *, const void *, const void *, char *const *, char *const *);

/* What pidfd_spawn of glibc 2.39 does, for the sides that have none. */
static int spawn_and_open(int *opened, const char *path, const void *actions, const void *attributes, char *const *argv, char *const *envp) {
    pid_t child;
    int error = strchr(path, '/') ? posix_spawn(&child, path, actions, attributes, argv, envp) : posix_spawnp(&child, path, actions, attributes, argv, envp);
    if (error == 0)
        *opened = syscall(SYS_pidfd_open, child, 0);
    return error;
}

static void with_descriptors(void) {
    char *arguments[] = {"zero", "one", NULL}, paths[3 * PATH_MAX];
    const char *tool = strdup(at("bin/tool")), *missing = strdup(at("bin/missing"));
    snprintf(paths, sizeof paths, "%s:/usr/bin:/bin", at("bin"));
    setenv("PATH", paths, 1);
    const char *const CALLS[][2] = {{"pidfd_spawn", tool}, {"pidfd_spawn", missing}, {"pidfd_spawnp", "script"}, {"pidfd_spawnp", tool}, {"pidfd_spawnp", "missing"}};
    for (int number = 0; number < COUNT(CALLS); number++) {
        Spawn *call = (Spawn *)dlsym(RTLD_DEFAULT, CALLS[number][0]);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, at("plain.txt"), O_RDONLY, 0);
        int opened = -1;
        siginfo_t info = {0};
        fflush(stdout);
        int error = (call ? call : spawn_and_open)(&opened, CALLS[number][1], &actions, NULL, arguments, environ);
        int waited = error == 0 ? waitid(3 /* P_PIDFD */, opened, &info, WEXITED) : -1;
        printf("%s %d: %s %d %d %d\n", CALLS[number][0], number, error_name(error), waited, info.si_code, info.si_status);
        posix_spawn_file_actions_destroy(&actions);
        close(opened);
    }
    setenv("PATH", "/usr/bin:/bin", 1);
}

static void popened(const char *name, const char *command) {
    char line[512];
    fflush(stdout);
    FILE *pipe = popen(command, "r");
    while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL)
        printf("%s: %s", name, line);
    CALL("pclose", name, pipe == NULL ? -1 : pclose(pipe));
}

static void by_shells(void) {
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "cat '%s'; cd '%s' && ./script x", at("plain.txt"), at("bin"));
    static char *bare[] = {"MARK=bare", NULL}, *none[] = {NULL};
    char **before = environ;
    for (int round = 0; round < 4; round++) {
        environ = round == 0 ? before : round == 1 ? bare : round == 2 ? none : NULL;
        char **given = environ;
        fflush(stdout);
        CALL("system", round == 0 ? "" : "scrubbed", system(command));
        fflush(stdout);
        popened("popen", command);
        CALL("same environment", "", environ == given);
    }
    environ = before;
    CALL("system", NULL, system(NULL) != 0);
    clearenv();
    fflush(stdout);
    CALL("system", "cleared", system(command));
    setenv("LD_PRELOAD", "", 1);
    fflush(stdout);
    CALL("system", "empty preload", system(command));
    environ = before;
}

/* A child that shares this process's memory, but nothing else. */
static int sharing(void *unused) {
    (void)unused;
    char near[8] = "";
    chdir(at("bin"));
    close(9);
    int fd = open("near", O_RDONLY);
    read(fd, near, 4);
    dup2(fd, 8);
    close(fd);
    if (strcmp(near, "near") != 0)
        _exit(3);
    execl("./tool", "tool", "shared", NULL);
    _exit(4);
}

static void after_sharing(const char *how, pid_t child, int directory) {
    struct stat s;
    ended(how, "", child < 0 ? errno : 0, child);
    char buffer[PATH_MAX];
    TEXT("getcwd", how, getcwd(buffer, sizeof buffer));
    STAT("same-a", how, stat("same-a", &s));
    STAT("near in 9", how, fstatat(9, "near", &s, 0));
    CALL("8", how, fcntl(8, F_GETFD));
    CALL("9", how, fcntl(9, F_GETFD));
    (void)directory;
}

static void with_shared_memory(void) {
    static char stack[256 * 1024] __attribute__((aligned(16)));
    int directory = open(at("bin"), O_RDONLY | O_DIRECTORY);
    dup2(directory, 9);
    chdir(at("dir"));
    fflush(stdout);
    after_sharing("clone", clone(sharing, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL), directory);
    fflush(stdout);
    after_sharing("clone of memory", clone(sharing, stack + sizeof stack, SIGCHLD, NULL), directory);
    fflush(stdout);
    pid_t child = vfork();
    if (child == 0)
        _exit(sharing(NULL));
    after_sharing("vfork", child, directory);
    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(sharing(NULL));
    after_sharing("fork", child, directory);
    close(9);
    close(directory);
    chdir("/");
}

static void of_every_size(void) {
    static char *many[60001], *huge[4], *variables[3003], long_one[200 * 1024], preload[20000];
    const char *script = strdup(at("bin/count")), *tool = strdup(at("bin/tool"));
    pid_t child;
    for (int count = 1; count < 60001; count = count < 500 ? count * 7 : count < 600 ? count + 9 : count * 3) {
        for (int number = 0; number < count; number++)
            many[number] = "x";
        many[count] = NULL;
        fflush(stdout);
        int error = posix_spawn(&child, script, NULL, NULL, many, environ);
        ended("many arguments", "", error, child);
    }
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = 0;
    huge[0] = "zero", huge[1] = long_one, huge[2] = NULL;
    for (size_t length = 100 * 1024; length < sizeof long_one; length += 40 * 1024) {
        long_one[length] = 0;
        int error = posix_spawn(&child, script, NULL, NULL, huge, environ);
        ended("a long argument", "", error, child);
        error = posix_spawn(&child, tool, NULL, NULL, (char *[]){"zero", NULL}, (char *[]){long_one, NULL});
        ended("a long variable", "", error, child);
        long_one[length] = 'a';
    }
    for (int number = 0; number < 3000; number++)
        variables[number] = "V=w";
    variables[3000] = "MARK=last";
    fflush(stdout);
    int error = posix_spawn(&child, tool, NULL, NULL, (char *[]){"zero", NULL}, variables);
    ended("many variables", "", error, child);
    /* Preloads that are not there are complained about, so ones that are. */
    strcpy(preload, "LD_PRELOAD=");
    for (int number = 0; number < 300; number++)
        strcat(preload, number == 0 ? "libm.so.6" : ":libm.so.6");
    error = posix_spawn(&child, tool, NULL, NULL, (char *[]){"zero", NULL}, (char *[]){preload, "MARK=preload", NULL});
    ended("a long LD_PRELOAD", "", error, child);
    error = posix_spawn(&child, tool, NULL, NULL, (char *[]){"zero", NULL}, (char *[]){"LD_PRELOAD=libm.so.6", "MARK=two", "LD_PRELOAD=", NULL});
    ended("two LD_PRELOADs", "", error, child);
    strcpy(preload, "LD_LIBRARY_PATH=");
    for (int number = 0; number < 60; number++)
        strcat(strcat(preload, at("lib")), ":");
    error = posix_spawn(&child, tool, NULL, NULL, (char *[]){"zero", NULL}, (char *[]){preload, "MARK=path", NULL});
    ended("a long LD_LIBRARY_PATH", "", error, child);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    with_actions();
    with_attributes();
    with_descriptors();
    by_shells();
    with_shared_memory();
    of_every_size();
    return 0;
}
