/* Each operation in a child whose seccomp filter allows just the system calls that libc makes
 * for it: one more, from whoever else is in the process, and the child is killed.
 * Usage: seccomp P */
#include "probe.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* Kills on any system call but `allowed` (ended by -1), write and exit_group. */
static void allow_only(const int *allowed) {
    struct sock_filter program[64];
    int length = 0, count = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    static const int ALWAYS[] = {SYS_write, SYS_exit_group, -1};
    for (const int *list = ALWAYS;; list = allowed) {
        for (int at = 0; list[at] != -1; at++, count++) {
            program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, list[at], 0, 1);
            program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
        if (list == allowed)
            break;
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog filter = {length, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        _exit(77);
}

/* Says what the child answered; its output is made before the filter takes stdio away. */
#define UNDER(name, body, ...)                \
    do {                                      \
        fflush(stdout);                       \
        pid_t child = fork();                 \
        if (child == 0) {                     \
            struct stat s;                    \
            char buffer[4096];                \
            static const int allowed[] = {__VA_ARGS__, -1}; \
            allow_only(allowed);              \
            (void)s, (void)buffer;            \
            errno = 0;                        \
            long answer = (long)(body);       \
            _exit(answer == -1 ? errno : answer > 0 ? 200 : 0); \
        }                                     \
        int status = 0;                       \
        waitpid(child, &status, 0);           \
        printf("%s: %s %d\n", name, WIFSIGNALED(status) ? "killed by" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)); \
    } while (0)

int main(int argc, char **argv) {
    begin(argc, argv);
    int dir = open_directory(at("dir")), file = open(at("plain.txt"), O_RDONLY);
    const char *plain = strdup(at("plain.txt")), *missing = strdup(at("missing")), *link = strdup(at("links/relative"));
    const char *where = strdup(at("dir")), *secret = strdup(at("modes/file-0600"));
    UNDER("stat", stat(plain, &s), SYS_newfstatat);
    UNDER("lstat", lstat(link, &s), SYS_newfstatat);
    UNDER("stat through a link", stat(link, &s), SYS_newfstatat);
    UNDER("stat missing", stat(missing, &s), SYS_newfstatat);
    UNDER("stat outside", stat("/etc/passwd", &s), SYS_newfstatat);
    UNDER("fstatat", fstatat(dir, "same-a", &s, 0), SYS_newfstatat);
    UNDER("fstat", fstat(file, &s), SYS_newfstatat, SYS_fstat);
    UNDER("fstat of a directory", fstat(dir, &s), SYS_newfstatat, SYS_fstat);
    UNDER("statx", statx(AT_FDCWD, plain, 0, STATX_BASIC_STATS, &(struct statx){0}), SYS_statx);
    UNDER("SYS_stat", syscall(SYS_stat, plain, &s), SYS_stat);
    UNDER("access", access(plain, R_OK), SYS_access);
    UNDER("access missing", access(missing, F_OK), SYS_access);
    UNDER("faccessat", faccessat(dir, "same-a", R_OK, 0), SYS_faccessat, 439 /* faccessat2 */);
    UNDER("readlink", readlink(link, buffer, sizeof buffer), SYS_readlink);
    UNDER("readlinkat", readlinkat(dir, "../links/relative", buffer, sizeof buffer), SYS_readlinkat);
    UNDER("open and close", close(open(plain, O_RDONLY)), SYS_openat, SYS_close);
    UNDER("open missing", open(missing, O_RDONLY), SYS_openat);
    UNDER("openat", openat(dir, "same-a", O_RDONLY), SYS_openat);
    UNDER("open a directory", open(where, O_RDONLY | O_DIRECTORY), SYS_openat);
    UNDER("open and read", read(open(plain, O_RDONLY), buffer, 10), SYS_openat, SYS_read);
    UNDER("open and fstat", fstat(open(plain, O_RDONLY), &s), SYS_openat, SYS_newfstatat, SYS_fstat);
    UNDER("open outside", open("/etc/passwd", O_RDONLY), SYS_openat);
    UNDER("dup", dup(file), SYS_dup);
    UNDER("dup2", dup2(dir, 50), SYS_dup2);
    UNDER("fcntl", fcntl(file, F_DUPFD, 60), SYS_fcntl);
    UNDER("close", close(dir), SYS_close);
    UNDER("chdir", chdir(where), SYS_chdir);
    UNDER("chdir missing", chdir(missing), SYS_chdir);
    UNDER("getcwd", getcwd(buffer, sizeof buffer) == NULL ? -1 : 0, SYS_getcwd);
    UNDER("mkdir", mkdir(missing, 0700), SYS_mkdir);
    UNDER("unlink", unlink(plain), SYS_unlink);
    UNDER("rename", rename(plain, missing), SYS_rename);
    UNDER("chmod", chmod(plain, 0), SYS_chmod);
    UNDER("open to write", open(plain, O_WRONLY), SYS_openat);
    UNDER("fchdir", fchdir(dir), SYS_fchdir);
    UNDER("access of what is private", access(secret, R_OK), SYS_access);
    UNDER("open of what is private", open(secret, O_RDONLY), SYS_openat);
    if (limits)
        UNDER("getdents64", syscall(SYS_getdents64, dir, buffer, sizeof buffer), SYS_getdents64);
    return 0;
}
