/* Threads, forks, signals and directories of their own, all at once; says what went wrong.
 * Usage: threads P seconds [wander|crowd]; a crowd is 64 threads that fork. */
#include "probe.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static volatile int done;
static int faults;

/* Paths that are made once, before there are threads. */
static char paths[4][PATH_MAX];

static void prepare(void) {
    static const char *const RELS[] = {"plain.txt", "missing", "links/relative", "dir"};
    for (int number = 0; number < COUNT(RELS); number++)
        snprintf(paths[number], sizeof paths[number], "%s/%s", P, RELS[number]);
}

static const char *prepared(int number) {
    return paths[number];
}

static void fault(const char *what) {
    if (__atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED) < 10)
        printf("fault: %s: %s\n", what, error_name(errno));
}

#define MUST(condition)                       \
    do {                                      \
        if (!(condition))                     \
            fault(#condition);                \
    } while (0)

/* A bit of everything; safe in a child of fork too. */
static void work(int directory) {
    struct stat s;
    char buffer[256];
    MUST(stat(prepared(0), &s) == 0 && s.st_size == 14);
    MUST(stat(prepared(1), &s) == -1 && errno == ENOENT);
    MUST(fstatat(directory, "same-a", &s, 0) == 0 && s.st_size == 17);
    int fd = open(prepared(0), O_RDONLY);
    MUST(fd >= 0);
    MUST(fstat(fd, &s) == 0 && s.st_size == 14 && S_ISREG(s.st_mode));
    MUST(read(fd, buffer, sizeof buffer) == 14 && memcmp(buffer, "one\ntwo\n", 8) == 0);
    MUST(close(fd) == 0);
    MUST(readlink(prepared(2), buffer, sizeof buffer) == 12);
    fd = openat(directory, "sub", O_RDONLY | O_DIRECTORY);
    MUST(fd >= 0 && fstat(fd, &s) == 0 && S_ISDIR(s.st_mode));
    MUST(syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0);
    MUST(close(fd) == 0);
}

static void *worker(void *unused) {
    int directory = open(prepared(3), O_RDONLY | O_DIRECTORY);
    while (!done)
        work(directory);
    close(directory);
    return NULL;
}

/* Forks while the others are in the middle of things; the child must be able to go on. */
static void *forker(void *unused) {
    int directory = open(prepared(3), O_RDONLY | O_DIRECTORY);
    while (!done) {
        pid_t child = fork();
        if (child == 0) {
            int before = faults;
            for (int round = 0; round < 20; round++)
                work(directory);
            _exit(faults == before ? 0 : 1);
        }
        int status = -1;
        MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        child = vfork();
        if (child == 0) {
            struct stat s;
            int fd = open(prepared(0), O_RDONLY);
            int good = fd >= 0 && stat(prepared(0), &s) == 0 && fstat(fd, &s) == 0 && s.st_size == 14;
            close(fd);
            if (!good)
                _exit(3);
            execl("/bin/cat", "cat", "/dev/null", NULL);
            _exit(4);
        }
        MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    close(directory);
    return NULL;
}

/* A thread with a working directory of its own. */
static void *wanderer(void *which) {
    static const char *const PLACES[] = {"dir", "hard", "links", "names"};
    static const char *const NEAR[] = {"same-a", "first", "relative", "a.b"};
    char expected[PATH_MAX], buffer[PATH_MAX];
    int number = (int)(long)which;
    snprintf(expected, sizeof expected, "%s/%s", P, PLACES[number]);
    MUST(unshare(CLONE_FS) == 0);
    MUST(chdir(expected) == 0);
    while (!done) {
        struct stat s;
        MUST(getcwd(buffer, sizeof buffer) != NULL && strcmp(buffer, expected) == 0);
        MUST(stat(NEAR[number], &s) == 0 && S_ISREG(s.st_mode));
        MUST(access("../plain.txt", R_OK) == 0);
        MUST(access(NEAR[(number + 1) % 4], F_OK) == -1);
        MUST(chdir("..") == 0 && chdir(PLACES[number]) == 0);
    }
    return NULL;
}

/* A handler that does the same as what it interrupts. */
static void on_alarm(int signal) {
    int saved = errno;
    struct stat s;
    if (stat(prepared(0), &s) != 0 || s.st_size != 14)
        fault("stat in a handler");
    int fd = open(prepared(0), O_RDONLY);
    if (fd < 0 || fstat(fd, &s) != 0 || s.st_size != 14)
        fault("open in a handler");
    close(fd);
    errno = saved;
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

int main(int argc, char **argv) {
    begin(argc, argv);
    prepare();
    int before = open_descriptors();
    const char *mode = argc > 3 ? argv[3] : "";
    int wanders = strcmp(mode, "wander") == 0, forkers = strcmp(mode, "crowd") == 0 ? 64 : 2;
    pthread_t threads[8 + 64 + 4];
    int count = 0;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 700}, {0, 700}}, NULL);
    for (int number = 0; number < 8; number++)
        pthread_create(&threads[count++], NULL, worker, NULL);
    for (int number = 0; number < forkers; number++)
        pthread_create(&threads[count++], NULL, forker, NULL);
    for (long number = 0; wanders && number < 4; number++)
        pthread_create(&threads[count++], NULL, wanderer, (void *)number);
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(argv[2]);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
    done = 1;
    for (int number = 0; number < count; number++)
        pthread_join(threads[number], NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    printf("%d faults, %d descriptors more\n", faults, open_descriptors() - before);
    return 0;
}
