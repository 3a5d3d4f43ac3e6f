/* A process that changes who it is: what it may do follows at once, as in the kernel.
 * Must start as root. Usage: credentials P */
#include "probe.h"
#include <grp.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static const char *const FILES[] = {"public", "private", "group", "other", "nothing", "closed/file", "group-dir/file", "search-only/file",
                                    "list-only/file", "mine", "closed/../public", "script"};

/* Whether there is one that is not the effective group. */
static int file_system_group;

static void look(const char *who) {
    printf("-- %s\n", who);
    for (int number = 0; number < COUNT(FILES); number++) {
        const char *path = at(FILES[number]);
        int fd;
        CALL("open", FILES[number], (fd = open(path, O_RDONLY)) == -1 ? -1 : 0);
        if (fd != -1)
            close(fd);
        CALL("access r", FILES[number], access(path, R_OK));
        CALL("access x", FILES[number], access(path, X_OK));
        CALL("faccessat effective", FILES[number], faccessat(AT_FDCWD, path, R_OK, AT_EACCESS));
        CALL("faccessat effective x", FILES[number], faccessat(AT_FDCWD, path, X_OK, AT_EACCESS));
#ifdef __GLIBC__
        CALL("euidaccess", FILES[number], euidaccess(path, R_OK | X_OK));
#endif
        STAT("stat", FILES[number], stat(path, &s));
        CALL("open noatime", FILES[number], (fd = open(path, O_RDONLY | O_NOATIME)) == -1 ? -1 : 0);
        if (fd != -1)
            close(fd);
        CALL("readlink", FILES[number], readlink(path, (char[8]){0}, 8));
    }
    static const char *const DIRECTORIES[] = {"closed", "group-dir", "search-only", "list-only", "."};
    for (int number = 0; number < COUNT(DIRECTORIES); number++) {
        DIR *dir;
        CALL("opendir", DIRECTORIES[number], (dir = opendir(at(DIRECTORIES[number]))) == NULL ? -1 : 0);
        if (dir != NULL)
            closedir(dir);
        CALL("chdir", DIRECTORIES[number], chdir(at(DIRECTORIES[number])));
        CALL("open relative", "file", open("file", O_PATH) == -1 ? -1 : 0);
        CALL("chdir back", "/", chdir("/"));
        /* The loader ignores every preload when real and effective ids differ, or the kernel thinks so. */
        if (getuid() != geteuid() || getgid() != getegid() || file_system_group)
            continue;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            execl(at("script"), "script", NULL);
            printf("execl: %s\n", error_name(errno));
            fflush(stdout);
            _exit(9);
        }
        int status;
        waitpid(child, &status, 0);
        printf("exec %d\n", WEXITSTATUS(status));
    }
}

/* The kernel keeps credentials by thread; raw system calls change one thread only. */
static void *other_thread(void *unused) {
    syscall(SYS_setresuid, -1, 1234, -1);
    look("a thread of its own");
    return NULL;
}

int main(int argc, char **argv) {
    begin(argc, argv);
    int dir = open(at("closed"), O_RDONLY | O_DIRECTORY);
    look("root");
    seteuid(1234);
    look("effective 1234");
    STAT("fstatat by a descriptor from before", "file", fstatat(dir, "file", &s, 0));
    CALL("fchdir to a descriptor from before", "", fchdir(dir));
    seteuid(0);
    look("root again");
    setegid(77);
    seteuid(1234);
    look("effective 1234 of group 77");
    seteuid(0);
    setegid(0);
    setgroups(2, (gid_t[]){5, 77});
    seteuid(1234);
    look("effective 1234 with group 77");
    seteuid(0);
    setgroups(0, NULL);
    setfsuid(1234);
    look("file system user 1234");
    setfsgid(77);
    file_system_group = 1;
    look("file system user 1234 of group 77");
    setfsuid(0);
    look("file system group 77");
    setfsgid(0);
    file_system_group = 0;
    setresuid(1234, 0, 0);
    look("real 1234, effective root");
    setresuid(0, 0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    look("the main thread after it");
    prctl(PR_CAPBSET_DROP, 1, 0, 0, 0);
    setgid(1234);
    setuid(1234);
    look("1234 for good");
    return 0;
}
