/* Carries out scripts of the oracle and prints what every call answered.
 *
 * Usage: oracle P alone|threads|processes < scripts
 * A script is lines of `operation slot number path other`, joined by tabs; `\xHH` stands for a byte, `!null`,
 * `!low` and `!high` for bad pointers. A line `---` begins the next script. Alone, scripts run one after the
 * other; else all at once. Six slots hold descriptors that later lines use; threads share the working directory,
 * so only scripts that have it to themselves change it. */
#include "oracle.h"
#include "oracle_changes.h"
#include "oracle_files.h"
#include "oracle_lists.h"
#include "oracle_names.h"
#include "oracle_processes.h"
#include <pthread.h>
#include <signal.h>

enum { SCRIPTS = 16 };

static const struct { const char *name; void (*function)(struct script *); } OPERATIONS[] = {
    {"open", op_open}, {"resolve", op_resolve}, {"read", op_read}, {"lseek", op_lseek}, {"mmap", op_mmap}, {"send", op_send},
    {"dup", op_dup}, {"close", op_close}, {"fcntl", op_fcntl}, {"fopen", op_fopen}, {"proc", op_proc},
    {"stat", op_stat}, {"lstat", op_lstat}, {"fstatat", op_fstatat}, {"fstat", op_fstat}, {"statx", op_statx}, {"agree", op_agree},
    {"same", op_same}, {"access", op_access}, {"readlink", op_readlink}, {"realpath", op_realpath}, {"getxattr", op_getxattr},
    {"statfs", op_statfs}, {"list", op_list}, {"listfd", op_listfd}, {"getdents", op_getdents}, {"scandir", op_scandir},
    {"seekdir", op_seekdir}, {"glob", op_glob}, {"walk", op_walk}, {"chdir", op_chdir}, {"fchdir", op_fchdir}, {"home", op_home},
    {"getcwd", op_getcwd}, {"make", op_make}, {"temporary", op_temporary}, {"remove", op_remove}, {"rename", op_rename},
    {"link", op_link}, {"chmod", op_chmod}, {"chown", op_chown}, {"times", op_times}, {"truncate", op_truncate},
    {"setxattr", op_setxattr}, {"fork", op_fork}, {"vfork", op_vfork}, {"exec", op_exec}, {"fexec", op_fexec},
};

/* Undoes `\xHH` in place; a bad pointer for what stands for one. */
static const char *text_of(char *field) {
    if (field == NULL)
        return "";
    if (field[0] == '!')
        return strcmp(field, "!null") == 0 ? NULL : strcmp(field, "!low") == 0 ? (char *)8 : (char *)0x7ffffffff000;
    char *to = strchr(field, '\\');
    for (char *at = to; at != NULL && (*to = *at) != 0; at++, to++)
        if (at[0] == '\\' && at[1] == 'x') {
            char digits[] = {at[2], at[3], 0};
            *to = (char)strtol(digits, NULL, 16);
            at += 3;
        }
    return field;
}

/* Does the next line; whether there was one. */
static int do_line(struct script *s) {
    char *line = strsep(&s->lines, "\n");
    if (line == NULL || *line == 0)
        return 0;
    char *rest = line, *operation = strsep(&rest, "\t"), *slot = strsep(&rest, "\t"), *number = strsep(&rest, "\t");
    char *path = strsep(&rest, "\t"), *other = strsep(&rest, "\t");
    s->line++;
    s->operation = operation;
    s->slot = atoi(slot) % SLOTS;
    s->number = strtoul(number, NULL, 10);
    s->state = s->number * 0x9e3779b97f4a7c15u;
    s->path = text_of(path);
    s->other = text_of(other);
    for (int at = 0; at < COUNT(OPERATIONS); at++)
        if (strcmp(operation, OPERATIONS[at].name) == 0) {
            OPERATIONS[at].function(s);
            return 1;
        }
    say(s, "unknown operation %s\n", operation);
    return 1;
}

static void *run(void *argument) {
    struct script *s = running = argument;
    s->text = malloc(s->room = 1 << 16);
    memset(s->slots, -1, sizeof s->slots);
    s->slots[0] = open(P, O_RDONLY | O_DIRECTORY);
    while (do_line(s))
        ;
    say(s, "end\n");
    return NULL;
}

static void finish(struct script *s) {
    for (size_t at = 0; at < s->used;) {
        ssize_t written = write(1, s->text + at, s->used - at);
        if (written <= 0)
            exit(3);
        at += written;
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (s->slots[slot] >= 0)
            close(s->slots[slot]);
    free(s->text);
}

/* Says what there is to say before it ends by the signal. */
static void on_crash(int signal) {
    char text[64];
    if (running != NULL) {
        write(1, running->text, running->used);
        write(1, text, snprintf(text, sizeof text, "%d %s ended by signal %d\n", running->line, running->operation, signal));
    }
    _exit(100);
}

static char *read_all(size_t *length) {
    size_t room = 1 << 20;
    char *text = malloc(room);
    ssize_t count;
    *length = 0;
    while ((count = read(0, text + *length, room - *length - 1)) > 0)
        if ((*length += count) + 1 == room)
            text = realloc(text, room *= 2);
    text[*length] = 0;
    return text;
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

int main(int argc, char **argv) {
    static struct script scripts[SCRIPTS];
    pthread_t threads[SCRIPTS];
    size_t length;
    int count = 0, crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    begin(argc, argv);
    for (int at = 0; at < COUNT(crashes); at++)
        signal(crashes[at], on_crash);
    find_ancestors();
    find_old_names();
    umask(0);
    chdir(P);
    char *rest = read_all(&length);
    int open_before = open_descriptors();
    while (rest != NULL && count < SCRIPTS) {
        scripts[count].lines = rest;
        scripts[count].number_of_script = count;
        scripts[count].moves = strcmp(argv[2], "threads") != 0;
        char *next = strstr(rest, "---\n");
        rest = next == NULL ? NULL : next + 4;
        if (next != NULL)
            next[0] = 0;
        count++;
    }
    if (strcmp(argv[2], "threads") == 0) {
        for (int at = 0; at < count; at++)
            pthread_create(&threads[at], NULL, run, &scripts[at]);
        for (int at = 0; at < count; at++)
            pthread_join(threads[at], NULL);
        for (int at = 0; at < count; at++)
            finish(&scripts[at]);
    } else if (strcmp(argv[2], "processes") == 0) {
        int ends[SCRIPTS][2];
        pid_t children[SCRIPTS];
        for (int at = 0; at < count; at++) {
            pipe2(ends[at], O_CLOEXEC);
            children[at] = fork();
            if (children[at] == 0) {
                dup2(ends[at][1], 1);
                run(&scripts[at]);
                finish(&scripts[at]);
                _exit(0);
            }
            close(ends[at][1]);
        }
        for (int at = 0; at < count; at++) {
            struct script *s = &scripts[at];
            ssize_t got;
            int status;
            while ((got = read(ends[at][0], s->buffer, sizeof s->buffer)) > 0)
                write(1, s->buffer, got);
            close(ends[at][0]);
            waitpid(children[at], &status, 0);
            dprintf(1, "process %d ended %x\n", at, status);
        }
    } else
        for (int at = 0; at < count; at++) {
            chdir(P);
            run(&scripts[at]);
            finish(&scripts[at]);
        }
    dprintf(1, "%d descriptors more\n", open_descriptors() - open_before);
    return 0;
}
