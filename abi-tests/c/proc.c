/* What /proc tells of this process and of others: links, what is behind them, and the texts of mappings. */
#include "probe.h"
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

/* A path without this process's numbers. */
static const char *of_self(const char *format, const char *rest) {
    static char buffers[4][PATH_MAX];
    static int next;
    char *buffer = buffers[next = (next + 1) % COUNT(buffers)];
    snprintf(buffer, sizeof buffers[0], format, (int)getpid());
    strcat(buffer, rest);
    return buffer;
}

static void ask(const char *what, const char *path) {
    char text[PATH_MAX + 1] = "";
    ssize_t length = readlink(path, text, PATH_MAX);
    printf("%s: readlink %zd %s\n", what, length, length < 0 ? error_name(errno) : text);
    memset(text, 0, sizeof text);
    length = readlink(path, text, 7);
    printf("  7 bytes: %s\n", length < 0 ? error_name(errno) : text);
    char *real = realpath(path, NULL);
    printf("  realpath %s\n", real == NULL ? error_name(errno) : real);
    free(real);
    STAT("  stat", what, stat(path, &s));
    CALL("  access", what, access(path, R_OK));
    OPEN("  open", what, open(path, O_RDONLY));
    FILE *stream = fopen(path, "r");
    printf("  fopen %s\n", stream == NULL ? error_name(errno) : "is open");
    if (stream != NULL)
        fclose(stream);
}

static void ask_at(int dirfd, const char *name) {
    char text[PATH_MAX + 1] = "";
    ssize_t length = readlinkat(dirfd, name, text, PATH_MAX);
    printf("at /proc: readlinkat %zd %s\n", length, length < 0 ? error_name(errno) : text);
    STAT("  fstatat", "", fstatat(dirfd, name, &s, 0));
    CALL("  faccessat", "", faccessat(dirfd, name, R_OK, 0));
    OPEN("  openat", "", openat(dirfd, name, O_RDONLY));
}

/* Each other spelling of /proc/self. */
static const char *const SELF[] = {"/proc/self", "/proc/thread-self", "/proc/%1$d", "/proc/self/task/%1$d", "/proc/%1$d/task/%1$d",
                                   "/proc//self/"};

static void own(void) {
    /* The same bytes at two paths: a descriptor is of the one that was opened. */
    const char *const files[] = {"plain.txt", "dir/same-a", "dir/same-b", "dir", "lib/library.so"};
    int fds[COUNT(files)];
    for (int at_ = 0; at_ < COUNT(files); at_++)
        fds[at_] = open(at(files[at_]), O_RDONLY);
    CALL("chdir", "dir", chdir(at("dir")));
    for (int s = 0; s < COUNT(SELF); s++) {
        for (int f = 0; f < COUNT(files); f++) {
            char rest[32];
            snprintf(rest, sizeof rest, "/fd/%d", fds[f]);
            printf("-- %s of %s\n", SELF[s], files[f]);
            ask(SELF[s], of_self(SELF[s], rest));
        }
        printf("-- %s\n", SELF[s]);
        ask("exe", of_self(SELF[s], "/exe"));
        ask("cwd", of_self(SELF[s], "/cwd"));
        ask("below cwd", of_self(SELF[s], "/cwd/same-b"));
        ask("above cwd", of_self(SELF[s], "/cwd/../plain.txt"));
        ask("nothing below cwd", of_self(SELF[s], "/cwd/nothing"));
        char below_root[PATH_MAX];
        snprintf(below_root, sizeof below_root, "/root%s", at("dir/same-b"));
        ask("below root", of_self(SELF[s], below_root));
        ask("out of the root", of_self(SELF[s], "/root/../etc/hostname"));
    }
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", fds[2]);
    ask("/dev/fd", path);
    snprintf(path, sizeof path, "/dev/fd/%d/same-a", fds[3]);
    ask("below /dev/fd", path);
    dup2(fds[2], 0);
    ask("/dev/stdin", "/dev/stdin");
    /* From the directory of the links. */
    snprintf(path, sizeof path, "%d", fds[2]);
    int links = open("/proc/self/fd", O_RDONLY | O_DIRECTORY), self = open("/proc/self", O_RDONLY | O_DIRECTORY);
    DIR *stream = opendir("/proc/self/fd");
    ask_at(links, path);
    ask_at(dirfd(stream), path);
    ask_at(self, "cwd");
    ask_at(self, "cwd/same-a");
    ask_at(self, "exe");
    CALL("chdir", "/proc/self/fd", chdir("/proc/self/fd"));
    ask("relative", path);
    CALL("chdir", "..", chdir(".."));
    ask("relative exe", "exe");
    snprintf(path, sizeof path, "fd/%d", fds[1]);
    ask("relative fd", path);
    /* From a plain directory above the tree. */
    CALL("chdir", "..", chdir(at("..")));
    ask("cwd above", "/proc/self/cwd/tree/plain.txt");
    int above = open(at(".."), O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "/proc/self/fd/%d/tree/dir/same-b", above);
    ask("fd above", path);
    closedir(stream);
    for (int fd = 3; fd < 40; fd++)
        close(fd);
}

/* Another process that stands in the tree, with files of it open. */
static void other(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, 9);
        chdir(at("dir"));
        dup2(open(at("plain.txt"), O_RDONLY), 50);
        dup2(open("/etc/hostname", O_RDONLY), 51);
        write(ends[1], "x", 1);
        pause();
        _exit(0);
    }
    char byte;
    read(ends[0], &byte, 1);
    static const char *const links[] = {"fd/50", "fd/51", "cwd", "cwd/same-b", "exe", "task/%d/cwd", "task/%d/fd/50"};
    for (int at = 0; at < COUNT(links); at++) {
        char link[64], path[128];
        snprintf(link, sizeof link, links[at], (int)child);
        snprintf(path, sizeof path, "/proc/%d/%s", (int)child, link);
        ask(links[at], path);
    }
    kill(child, 9);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

/* The lines of a text that name something in the tree, without addresses, inodes and sizes. */
static void show_text(const char *what, char *text) {
    printf("-- %s\n", what);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *path = strstr(line, P);
        if (path == NULL)
            continue;
        char permissions[8] = "";
        sscanf(line, "%*s %4s", permissions);
        if (strstr(line, "file=") != NULL)
            printf("  file=%.*s\n", (int)strcspn(path, " "), path);
        else
            printf("  %s %s at column %d\n", permissions, path, (int)(path - line));
    }
}

static char *read_all(int fd) {
    static char buffer[4 << 20];
    size_t length = 0;
    ssize_t count;
    while ((count = read(fd, buffer + length, sizeof buffer - 1 - length)) > 0)
        length += count;
    buffer[length] = 0;
    return buffer;
}

static void texts(const char *directory, const char *shown) {
    static const char *const names[] = {"maps", "smaps", "numa_maps"};
    for (int at = 0; at < COUNT(names); at++) {
        char path[128], what[128];
        snprintf(path, sizeof path, "%s/%s", directory, names[at]);
        snprintf(what, sizeof what, "%s/%s", shown, names[at]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd == -1) {
            printf("%s: %s\n", what, error_name(errno));
            continue;
        }
        printf("flags %o %o\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
        char *text = read_all(fd);
        /* Velo's own manifest stands there too, and is what it is. */
        for (char *store = text; (store = strpbrk(store, "\n")) != NULL && *++store != 0;) {
            int length = (int)strcspn(store, "\n");
            char line[PATH_MAX + 200];
            snprintf(line, sizeof line, "%.*s", length, store);
            if ((strstr(line, "/views/") || strstr(line, "/cas_store/")) && !strstr(line, "/manifest"))
                printf("the store: %s\n", line);
        }
        show_text(what, text);
        CALL("lseek", what, lseek(fd, 0, SEEK_SET));
        printf("again %d\n", strstr(read_all(fd), P) != NULL);
        close(fd);
        int next = open("/dev/null", O_RDONLY);
        printf("the same number is free: %d\n", fd == next);
        close(next);
    }
}

static void mappings(void) {
    int fd = open(at("one"), O_RDONLY), line = open(at("new\nline"), O_RDONLY);
    void *data = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0), *more = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, line, 0);
    close(fd);
    close(line);
    void *library = dlopen(at("lib/library.so"), RTLD_NOW);
    printf("mapped %d %d %d\n", data != MAP_FAILED, more != MAP_FAILED, library != NULL);
    texts("/proc/self", "/proc/self");
    texts("/proc/thread-self", "/proc/thread-self");
    texts(of_self("/proc/%d", ""), "/proc/PID");
    FILE *stream = fopen("/proc/self/maps", "r");
    show_text("fopen", read_all(fileno(stream)));
    fclose(stream);
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY);
    fd = openat(self, "maps", O_RDONLY);
    show_text("openat", read_all(fd));
    close(fd);
    fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
    show_text("syscall", read_all(fd));
    close(fd);
    close(self);
    /* Links of mappings, by the addresses of the library's first one. */
    struct link_map *map = NULL;
    stream = fopen("/proc/self/maps", "r");
    char text[PATH_MAX + 200];
    while (library != NULL && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && fgets(text, sizeof text, stream) != NULL) {
        unsigned long start, end;
        char path[128];
        if (sscanf(text, "%lx-%lx", &start, &end) == 2 && start == (unsigned long)map->l_addr) {
            snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", start, end);
            ask("map_files", path);
        }
    }
    fclose(stream);
    /* Of another process with the same mappings. */
    int ends[2];
    if (pipe(ends) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, 9);
        pause();
        _exit(0);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", (int)child);
    texts(path, "/proc/CHILD");
    kill(child, 9);
    waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    printf("executed %s\n", (const char *)getauxval(AT_EXECFN));
    own();
    CALL("chdir", "/", chdir("/"));
    other();
    mappings();
    return 0;
}
