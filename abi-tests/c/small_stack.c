// Calls by threads that have little stack, each in a process of its own: what ends one of them is
// printed. PROBE_LIMITS asks for the least that pthreads give, and for calls that need the most.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char path[4096];
static char text[4096];
static struct stat status;
static char what;

static void *call(void *unused) {
    char *arguments[] = {path, NULL};
    pid_t child;
    (void)unused;
    switch (what) {
    case 's': stat(path, &status); break;
    case 'o': close(open(path, O_RDONLY)); break;
    case 'a': access(path, R_OK); break;
    case 'r': (void)!readlink(path, text, sizeof text); break;
    case 'm': mkdir(path, 0777); break;
    case 'R': (void)!realpath(path, text); break;
    case 'n': rename(path, path); break;
    case 'p': posix_spawn(&child, path, NULL, NULL, arguments, environ); break;
    default: break;
    }
    return NULL;
}

static void try(const char *calls, size_t stack) {
    for (; *calls != 0; calls++) {
        int ended = 0;
        pid_t child = fork();
        if (child == 0) {
            pthread_attr_t attributes;
            pthread_t thread;
            what = *calls;
            pthread_attr_init(&attributes);
            pthread_attr_setstacksize(&attributes, stack);
            _exit(pthread_create(&thread, &attributes, call, NULL) != 0 ||
                  pthread_join(thread, NULL) != 0);
        }
        waitpid(child, &ended, 0);
        printf("%s %c: exit %d, signal %d\n", path, *calls, WEXITSTATUS(ended), WTERMSIG(ended));
        fflush(stdout);
    }
}

int main(int count, char **arguments) {
    static const char *const names[] = {"", "/nothing", "/nothing/below"};
    for (size_t number = 0; count > 1 && number < sizeof names / sizeof *names; number++) {
        snprintf(path, sizeof path, "%s%s", arguments[1], names[number]);
        try("soarm", 32768);
        if (getenv("PROBE_LIMITS") != NULL) {
            try("soarmRnp", 16384);
        }
    }
    strcpy(path, "/nothing/here");
    try("soarm", 32768);
    return 0;
}
