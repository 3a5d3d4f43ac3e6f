/* Sockets whose address is a path: nothing served is one, nothing can become one. What arrives over a socket. */
#include "probe.h"
#include "paths.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address;
static socklen_t bytes;

/* As long as it has to be, so that the last byte of a path of 108 is not a NUL. */
static int address_of(const char *path) {
    size_t length = strlen(path);
    if (length > sizeof address.sun_path)
        return 0;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length);
    bytes = offsetof(struct sockaddr_un, sun_path) + length + (length < sizeof address.sun_path);
    return 1;
}
#define ADDRESS (struct sockaddr *)&address, bytes

static long send_message(int fd, int number) {
    struct iovec part = {"x", 1};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_name = &address, .msg_namelen = bytes, .msg_iov = &part, .msg_iovlen = 1}}};
    messages[1] = messages[0];
    switch (number) {
    case 0: return sendmsg(fd, &messages[0].msg_hdr, 0);
    case 1: return syscall(SYS_sendmsg, fd, &messages[0].msg_hdr, 0);
    case 2: return sendmmsg(fd, messages, 2, 0);
    default: return syscall(SYS_sendmmsg, fd, messages, 2, 0);
    }
}

static void on_path(const char *rel, const char *path) {
    static const int TYPES[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    if (!address_of(path))
        return;
    for (int type = 0; type < COUNT(TYPES); type++) {
        int fd = socket(AF_UNIX, TYPES[type], 0);
        printf("type %d\n", TYPES[type]);
        CALL("connect", rel, connect(fd, ADDRESS));
        CALL("SYS_connect", rel, syscall(SYS_connect, fd, ADDRESS));
        CALL("sendto", rel, sendto(fd, "x", 1, MSG_NOSIGNAL, ADDRESS));
        CALL("SYS_sendto", rel, syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, ADDRESS));
        for (int way = 0; way < 4; way++)
            CALL("sendmsg", rel, send_message(fd, way));
        if (changes) {
            CALL("bind", rel, bind(fd, ADDRESS));
            CALL("SYS_bind", rel, syscall(SYS_bind, fd, ADDRESS));
        }
        close(fd);
    }
}

/* Errors that come before any path, and addresses that have none. */
static void wrong_sockets(void) {
    static const char *const PLACES[] = {"plain.txt", "missing"};
    for (int number = 0; number < COUNT(PLACES); number++) {
        const char *rel = PLACES[number];
        address_of(at(rel));
        int file = open(at("plain.txt"), O_RDONLY), internet = socket(AF_INET, SOCK_STREAM, 0);
        CALL("connect of no descriptor", rel, connect(-1, ADDRESS));
        CALL("connect of a file", rel, connect(file, ADDRESS));
        CALL("bind of a file", rel, bind(file, ADDRESS));
        CALL("sendto of a file", rel, sendto(file, "x", 1, 0, ADDRESS));
        if (internet != -1) {
            errno = 0;
            CALL("bind of another family", rel, bind(internet, ADDRESS));
            CALL("connect of another family", rel, connect(internet, ADDRESS));
        }
        close(internet);
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        CALL("connect to nowhere", rel, connect(fd, NULL, bytes));
        CALL("bind too long", rel, bind(fd, (struct sockaddr *)&address, 200));
        CALL("connect too short", rel, connect(fd, (struct sockaddr *)&address, 1));
        close(fd);
        close(file);
    }
}

/* Neighbours of the tree are real places, also by way of it. */
static void real_sockets(void) {
    static const char *const PLACES[] = {"../outside/socket", "links/out/socket", "links/dotdot/outside/socket"};
    char place[PATH_MAX];
    for (int number = 0; number < COUNT(PLACES); number++) {
        if (!address_of(at(PLACES[number])) || snprintf(place, sizeof place, "%s/../outside/socket", P) >= (int)sizeof place)
            continue;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
        errno = 0;
        if (bind(fd, ADDRESS) == -1) {
            printf("bind %s: %s\n", PLACES[number], error_name(errno));
        } else {
            CALL("listen", PLACES[number], listen(fd, 1));
            CALL("connect", PLACES[number], connect(other, ADDRESS));
            CALL("bind again", PLACES[number], bind(other, ADDRESS));
            CALL("unlink", PLACES[number], unlink(place));
        }
        close(fd), close(other);
    }
}

static long raw_close(int fd) {
    long answer;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(SYS_close), "D"(fd) : "rcx", "r11", "memory");
    return answer;
}

/* Descriptors arrive under a number that meant something else, whose end nobody could notice. */
static void arrival(int by_number) {
    int ends[2], sent[2] = {open_directory("/etc"), open_directory(at("links"))};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof sent)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof sent), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), sent, sizeof sent);
    struct iovec part = {"x", 1};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control}};
    sendmsg(ends[0], &message.msg_hdr, 0);
    int old[2] = {open_directory(at("dir")), open_directory("/")};
    STAT("before", "same-a", fstatat(old[0], "same-a", &s, 0));
    raw_close(old[0]), raw_close(old[1]);
    char byte;
    part.iov_base = &byte;
    memset(&control, 0, sizeof control);
    switch (by_number) {
    case 0: CALL("recvmsg", "", recvmsg(ends[1], &message.msg_hdr, 0)); break;
    case 1: CALL("SYS_recvmsg", "", syscall(SYS_recvmsg, ends[1], &message.msg_hdr, 0)); break;
    case 2: CALL("recvmmsg", "", recvmmsg(ends[1], &message, 1, 0, NULL)); break;
    default: CALL("SYS_recvmmsg", "", syscall(SYS_recvmmsg, ends[1], &message, 1, 0, NULL));
    }
    int received[2];
    memcpy(received, CMSG_DATA(&control.header), sizeof received);
    printf("the same numbers %d\n", received[0] == old[0] && received[1] == old[1]);
    OPEN("openat by the first", "passwd", openat(received[0], "passwd", O_RDONLY | O_DIRECTORY));
    OPEN("openat by the first", "same-a", openat(received[0], "same-a", O_RDONLY));
    OPEN("openat by the second", "relative", openat(received[1], "relative", O_RDONLY));
    STAT("fstat of the second", "", fstat(received[1], &s));
    CALL("fchdir to the second", "", fchdir(received[1]));
    char buffer[PATH_MAX];
    TEXT("getcwd", "", getcwd(buffer, sizeof buffer));
    for (int end = 0; end < 2; end++)
        close(sent[end]), close(received[end]), close(ends[end]);
}

/* A descriptor that is fetched from a process, under such a number. */
static void fetched(void) {
    int links = open_directory(at("links")), process = syscall(434 /* pidfd_open */, getpid(), 0);
    int old = open_directory("/etc");
    raw_close(old);
    int copy = syscall(438 /* pidfd_getfd */, process, links, 0);
    printf("the same number %d\n", copy == old);
    OPEN("openat by the fetched", "relative", openat(copy, "relative", O_RDONLY));
    STAT("fstat of the fetched", "", fstat(copy, &s));
    CALL("pidfd_getfd of nothing", "", syscall(438, process, 999, 0));
    close(copy), close(links), close(process);
}

int main(int argc, char **argv) {
    begin(argc, argv);
    for (int number = 0; number < COUNT(PATHS); number++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", P, PATHS[number]);
        struct stat top, s;
        stat(P, &top);
        /* An absolute path into the tree may be too long for an address, a relative one is not. */
        if (!leads_out(PATHS[number]) && !(stat(path, &s) == 0 && s.st_ino == top.st_ino))
            on_path(PATHS[number], path);
    }
    wrong_sockets();
    if (changes)
        real_sockets();
    for (int way = 0; way < 4; way++)
        arrival(way);
    fetched();
    CALL("chdir", "dir", chdir(at("dir")));
    static const char *const NEAR[] = {"same-a", "new", "../plain.txt", "../new", "sub", "missing/new"};
    for (int number = 0; number < COUNT(NEAR); number++)
        on_path(NEAR[number], NEAR[number]);
    return 0;
}
