/* Operations of the oracle that make processes: fork and vfork children that go on, programs of the tree. */
#include "oracle.h"
#include <poll.h>
#include <spawn.h>

extern char **environ;

static int do_line(struct script *s);

/* In `text`, the numbers in names of descriptors, in place. Threads share them, so which one is free depends on the others. */
static size_t without_descriptors(char *text, size_t bytes) {
    static const char name[] = "/dev/fd/";
    size_t to = 0;
    for (size_t at = 0; at < bytes;) {
        text[to++] = text[at++];
        if (to >= sizeof name - 1 && memcmp(text + to - (sizeof name - 1), name, sizeof name - 1) == 0)
            while (at < bytes && text[at] >= '0' && text[at] <= '9')
                at++;
    }
    return to;
}

/* All that a pipe holds until its other ends are closed. */
static void say_pipe(struct script *s, const char *call, int fd) {
    size_t used = 0;
    ssize_t count;
    while (used < sizeof s->buffer && (count = read(fd, s->buffer + used, sizeof s->buffer - used)) > 0)
        used += count;
    if (!s->moves)
        used = without_descriptors(s->buffer, used);
    say(s, "%d %s said ", s->line, call);
    say_bytes(s, s->buffer, used);
    say(s, "\n");
}

/* A child does the next few lines, then the parent does them too. */
static void op_fork(struct script *s) {
    int ends[2], status = -1;
    if (s->nested || pipe2(ends, O_CLOEXEC) != 0)
        return;
    size_t before = s->used;
    int count = pick(s, 12);
    pid_t child = fork();
    if (child == 0) {
        s->nested = 1;
        while (count-- > 0 && do_line(s))
            ;
        for (size_t at = before; at < s->used;) {
            ssize_t written = write(ends[1], s->text + at, s->used - at);
            if (written <= 0)
                _exit(9);
            at += written;
        }
        _exit(0);
    }
    close(ends[1]);
    ssize_t got;
    say(s, "%d in a child:\n", s->line);
    while ((got = read(ends[0], s->buffer, sizeof s->buffer)) > 0)
        say(s, "%.*s", (int)got, s->buffer);
    close(ends[0]);
    waitpid(child, &status, 0);
    say(s, "%d the child ended %x\n", s->line, status);
}

struct seen { int stat, open, error, closed; struct stat status; };

/* A child that shares the parent's memory opens, looks and closes, and leaves nothing behind. */
static void op_vfork(struct script *s) {
    volatile struct seen seen = {-9, -9, 0, -9, {0}};
    int fd = s->slots[s->slot], status = -1, moves = pick(s, 3) == 0;
    struct stat after;
    const char *path = s->path;
    errno = 0;
    pid_t child = vfork();
    if (child == 0) {
        seen.stat = fstatat(fd, path, (struct stat *)&seen.status, 0);
        seen.error = errno;
        int opened = open(path, O_RDONLY | O_NONBLOCK);
        seen.open = opened < 0 ? -errno : 0;
        if (fd >= 0)
            seen.closed = close(fd);
        if (opened >= 0)
            close(opened);
        if (moves)
            chdir(path);
        _exit(3);
    }
    waitpid(child, &status, 0);
    say(s, "%d vfork: %d %s open %d close %d ended %x\n", s->line, seen.stat, seen.stat ? error_name(seen.error) : "", seen.open, seen.closed, status);
    if (seen.stat == 0)
        say_status(s, (const struct stat *)&seen.status);
    ASK("fstat after vfork", fstat(fd, &after));
}

/* Runs the path, with what it prints as the answer. */
static void op_exec(struct script *s) {
    char *arguments[] = {"zero", "one two", NULL};
    int fd = from(s), ends[2], status = -1, way = pick(s, 7);
    const char *path = s->path;
    pid_t child = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    if (way == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        int error = posix_spawn(&child, readable(s), &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0)
            child = -1;
        answer(s, "posix_spawn", error == 0 ? 0 : -1, error);
    } else if ((child = fork()) == 0) {
        int error;
        dup2(ends[1], 1);
        switch (way) {
        case 1: execv(path, arguments); break;
        case 2: syscall(SYS_execve, path, arguments, environ); break;
        case 3: syscall(SYS_execveat, fd, path, arguments, environ, 0); break;
        case 4: execl(path, "zero", "one two", (char *)NULL); break;
        default: execve(path, arguments, environ);
        }
        error = errno;
        const char *name = error_name(error);
        write(1, name, strlen(name));
        _exit(126);
    }
    close(ends[1]);
    if (child != -1) {
        say_pipe(s, "exec", ends[0]);
        waitpid(child, &status, 0);
    }
    close(ends[0]);
    say(s, "%d ended %x\n", s->line, status);
}

/* Runs what the slot holds. */
static void op_fexec(struct script *s) {
    char *arguments[] = {"zero", "one two", NULL};
    int fd = s->slots[s->slot], ends[2], status = -1, way = pick(s, 2);
    if (fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        /* A script is told the number, which must not depend on what others have open. */
        int same = dup2(fd, 400 + s->number_of_script);
        dup2(ends[1], 1);
        if (way)
            fexecve(same, arguments, environ);
        else
            syscall(SYS_execveat, same, "", arguments, environ, AT_EMPTY_PATH);
        const char *name = error_name(errno);
        write(1, name, strlen(name));
        _exit(126);
    }
    close(ends[1]);
    say_pipe(s, "fexecve", ends[0]);
    waitpid(child, &status, 0);
    close(ends[0]);
    say(s, "%d ended %x\n", s->line, status);
}
