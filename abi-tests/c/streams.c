/* What the C library opens and closes by itself: streams of other names, temporary files, catalogues, tables of mounts;
 * what changes descriptors and the working directory behind everybody's back. */
#include "probe.h"
#include "paths.h"
#include <mntent.h>
#include <nl_types.h>
#include <sys/syscall.h>

static void read_stream(const char *name, const char *rel, FILE *stream, int error) {
    label(name, rel);
    if (stream == NULL) {
        printf("NULL %s\n", error_name(error));
        return;
    }
    char line[256] = "";
    fgets(line, sizeof line, stream);
    print_text(line);
    describe_fd(fileno(stream));
}

/* The stream is opened anew for another mode, and stays what it is. */
static void other_modes(const char *rel) {
    static const char *const MODES[] = {"r", "re", "r+", "w", "a", "w+", "wx", "?", ""};
    for (int number = 0; number < COUNT(MODES); number++) {
        FILE *stream = fopen(at(rel), "r");
        if (stream == NULL)
            return;
        int fd = fileno(stream);
        errno = 0;
        FILE *again = freopen(NULL, MODES[number], stream);
        int error = errno;
        printf("freopen NULL %s: ", MODES[number]);
        read_stream("", rel, again, error);
        if (again != NULL)
            fclose(again);
        CALL("fcntl of what it was", rel, fcntl(fd, F_GETFD));
    }
    OPEN("still there", rel, open(at(rel), O_RDONLY));
}

static void mount_table(const char *rel) {
    static const char *const MODES[] = {"r", "r+", "w", "a"};
    /* What is outside would be changed. */
    int modes = leads_out(rel) ? 1 : COUNT(MODES);
    for (int number = 0; number < modes; number++) {
        errno = 0;
        FILE *table = setmntent(at(rel), MODES[number]);
        int error = errno;
        read_stream("setmntent", rel, table, error);
        if (table == NULL)
            continue;
        struct mntent *entry = getmntent(table);
        printf("%s\n", entry == NULL ? "no entry" : entry->mnt_dir);
        int fd = fileno(table);
        CALL("endmntent", rel, endmntent(table));
        CALL("fcntl of what it was", rel, fcntl(fd, F_GETFD));
    }
}

static void catalogue(const char *rel) {
    errno = 0;
    nl_catd opened = catopen(at(rel), 0);
    int error = errno;
    label("catopen", rel);
    if (opened == (nl_catd)-1) {
        printf("none %s\n", error_name(error));
        return;
    }
    printf("%s, %s\n", catgets(opened, 1, 1, "no message"), catgets(opened, 1, 3, "no message"));
    CALL("catclose", rel, catclose(opened));
}

static void temporary(void) {
    static const char *const TEMPLATES[] = {"fileXXXXXX", "dir/fileXXXXXX", "missing/fileXXXXXX", "plain.txt/XXXXXX",
                                            "modes/dir-0000/XXXXXX", "links/self/XXXXXX", "short", "names/" X255 "XXXXXX"};
    for (int number = 0; number < COUNT(TEMPLATES); number++) {
        char name[2 * PATH_MAX];
        strcpy(name, at(TEMPLATES[number]));
        size_t length = strlen(name);
        errno = 0;
        char *answer = ((char *(*)(char *))named("mktemp"))(name);
        int error = errno;
        label("mktemp", TEMPLATES[number]);
        printf("itself %d, ", answer == name);
        if (name[0] == 0)
            printf("none %s\n", error_name(error));
        else
            printf("a name %d, that is free %d\n", strlen(name) == length, access(name, F_OK) == -1);
    }
    if (!changes)
        return;
    FILE *stream = tmpfile();
    printf("tmpfile %s\n", stream == NULL ? error_name(errno) : "made");
    if (stream != NULL) {
        fputs("text", stream);
        CALL("fflush", "", fflush(stream));
        CALL("openat by a file", "", openat(fileno(stream), "x", O_RDONLY));
        fclose(stream);
    }
}

/* The names that programs of long ago use. */
static void other_names(void) {
#ifdef __GLIBC__
    int (*other_close)(int) = named("__close"), (*other_dup2)(int, int) = named("__dup2");
    int (*other_fcntl)(int, int, ...) = named("__fcntl"), (*other_fclose)(FILE *) = named("_IO_fclose");
    FILE *(*other_fopen)(const char *, const char *) = named("_IO_fopen");
    FILE *stream = other_fopen(at("plain.txt"), "r");
    read_stream("_IO_fopen", "plain.txt", stream, errno);
    if (stream != NULL)
        CALL("_IO_fclose", "", other_fclose(stream));
    int dir = open_directory(at("dir")), links = open_directory(at("links"));
    CALL("__dup2", "", other_dup2(links, dir) - dir);
    OPEN("openat by __dup2", "relative", openat(dir, "relative", O_RDONLY));
    int copy = other_fcntl(dir, F_DUPFD, 50);
    OPEN("openat by __fcntl", "relative", openat(copy, "relative", O_RDONLY));
    CALL("__close", "", other_close(links) + other_close(copy));
#else
    int (*other_close)(int, int) = named("posix_close");
    int dir = open_directory(at("dir"));
    CALL("posix_close", "", other_close(dir, 0));
    int (*other_getdents)(int, void *, size_t) = named("getdents");
    dir = open_directory(at("dir"));
    char buffer[4096];
    CALL("getdents", "dir", other_getdents(dir, buffer, sizeof buffer));
#endif
    OPEN("openat by what was closed", "same-a", openat(50, "same-a", O_RDONLY));
    close(dir);
}

/* Goes on in a child, whose parent is gone: the standard output is waited for by who reads it. */
static void behind_the_back(void) {
    CALL("chdir", "dir", chdir(at("dir")));
    STAT("before", "same-a", stat("same-a", &s));
    fflush(stdout);
    int ends[2];
    pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        /* The parent of the daemon ends at once, and says nothing more. */
        if (daemon(0, 1) == -1)
            printf("daemon: %s\n", error_name(errno));
        char buffer[PATH_MAX];
        TEXT("getcwd of the daemon", "", getcwd(buffer, sizeof buffer));
        STAT("relative for the daemon", "same-a", stat("same-a", &s));
        OPEN("relative for the daemon", "etc", open("etc", O_RDONLY | O_PATH));
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    waitpid(child, NULL, 0);
    char end;
    read(ends[0], &end, 1);
    TEXT("getcwd of the parent", "", getcwd((char[PATH_MAX]){0}, PATH_MAX));
}

int main(int argc, char **argv) {
    begin(argc, argv);
    static const char *const FILES[] = {"plain.txt", "empty", "dir", "missing", "plain.txt/below", "links/relative", "links/out/file",
                                        "links/self", "modes/file-0000", "modes/file-0200", "hard/second", "bytes-4096", "catalogue"};
    for (int number = 0; number < COUNT(FILES); number++) {
        mount_table(FILES[number]);
        catalogue(FILES[number]);
        if (!leads_out(FILES[number]))
            other_modes(FILES[number]);
    }
    temporary();
    other_names();
    behind_the_back();
    return 0;
}
