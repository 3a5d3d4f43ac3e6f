/* What the parts of the oracle's C runner share: one script in progress and how it says what it saw.
 *
 * A script runs alone, or beside others as a thread or a process; nothing here is shared between
 * them, so each says the same whatever the others do. All text goes to the script's own memory. */
#ifndef ORACLE_H
#define ORACLE_H
#include "probe.h"
#include <sys/sysmacros.h>

enum { SLOTS = 6, ANCESTORS = 32, ENTRIES = 4096 };

struct script {
    char *lines;          /* what is left to do */
    char *text;           /* what was said so far */
    size_t used, room;
    int line;
    int number_of_script; /* keeps wanted descriptors of scripts apart */
    int moves;            /* whether the working directory is this script's own */
    int nested;           /* whether it runs in a child already */
    int slots[SLOTS];
    int slot;
    unsigned number;      /* as the script has it */
    uint64_t state;       /* and what picks choices from it */
    const char *operation, *path, *other;
    char buffer[1 << 16] __attribute__((aligned(16)));
    char second[PATH_MAX + 512];
};

static __thread struct script *running;

__attribute__((format(printf, 2, 3))) static void say(struct script *s, const char *format, ...) {
    for (;;) {
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(s->text + s->used, s->room - s->used, format, arguments);
        va_end(arguments);
        if (s->used + length < s->room) {
            s->used += length;
            return;
        }
        s->text = realloc(s->text, s->room *= 2);
    }
}

/* Bytes so that they stay on their line; long ones as their length and a sum. */
static void say_bytes(struct script *s, const void *bytes, size_t length) {
    const unsigned char *text = bytes;
    char shown[4 * 120 + 1];
    size_t at = 0;
    if (length > 100) {
        say(s, "%zu bytes %016llx", length, (unsigned long long)fnv(FNV_START, bytes, length));
        return;
    }
    for (size_t next = 0; next < length; next++)
        if (text[next] < 32 || text[next] > 126 || text[next] == '\\')
            at += sprintf(shown + at, "\\x%02x", text[next]);
        else
            shown[at++] = text[next];
    shown[at] = 0;
    say(s, "%s", shown);
}

/* A choice below `bound` that the script's number makes. */
static unsigned pick(struct script *s, unsigned bound) {
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (s->state >> 33) % bound;
}

static void answer(struct script *s, const char *call, long value, int error) {
    /* Whether another script runs that program at the moment is a matter of luck. */
    if (error == ETXTBSY)
        error = EROFS;
    if (value == -1)
        say(s, "%d %s: %s\n", s->line, call, error_name(error));
    else if (error != 0)
        say(s, "%d %s: %ld, but errno became %s\n", s->line, call, value, error_name(error));
    else
        say(s, "%d %s: %ld\n", s->line, call, value);
}

static void answer_text(struct script *s, const char *call, const char *text, int error) {
    say(s, "%d %s: ", s->line, call);
    if (text == NULL)
        say(s, "NULL %s", error_name(error));
    else
        say_bytes(s, text, strlen(text));
    say(s, "\n");
}

/* Calls `expression`, says what it answered. */
#define ASK(call, expression)                 \
    do {                                      \
        errno = 0;                            \
        long answer_ = (long)(expression);    \
        answer(s, call, answer_, errno);      \
    } while (0)

/* The same for what gives a string or NULL. */
#define ASK_TEXT(call, expression)            \
    do {                                      \
        errno = 0;                            \
        const char *answer_ = (expression);   \
        answer_text(s, call, answer_, errno); \
    } while (0)

/* Directories above the neighbourhood of P, that other tests change meanwhile. */
static struct { dev_t device; ino_t inode; } ancestors[ANCESTORS];
static int ancestor_count;

static void find_ancestors(void) {
    char path[PATH_MAX];
    struct stat s;
    snprintf(path, sizeof path, "%s/../..", P);
    while (ancestor_count < ANCESTORS && stat(path, &s) == 0) {
        ancestors[ancestor_count].device = s.st_dev;
        ancestors[ancestor_count++].inode = s.st_ino;
        strcat(path, "/..");
    }
}

static int is_ancestor(const struct stat *status) {
    for (int at = 0; at < ancestor_count; at++)
        if (ancestors[at].inode == status->st_ino && ancestors[at].device == status->st_dev)
            return 1;
    return 0;
}

static int is_above(int fd, const char *path) {
    struct stat status;
    return fstatat(fd, path, &status, AT_EMPTY_PATH) == 0 && is_ancestor(&status);
}

static void say_time(struct script *s, const char *name, long long seconds, long nanoseconds) {
    say(s, " %s %lld.%09ld", name, seconds, nanoseconds);
}

static void say_status(struct script *s, const struct stat *status) {
    if (is_ancestor(status)) {
        say(s, "above %o\n", status->st_mode);
        return;
    }
    say(s, "%o %lu %u:%u %lu %lld %ld", status->st_mode, (unsigned long)status->st_nlink, status->st_uid, status->st_gid,
        (unsigned long)status->st_rdev, (long long)status->st_size, (long)status->st_blksize);
    say_time(s, "m", status->st_mtim.tv_sec, status->st_mtim.tv_nsec);
    if (exact) {
        say(s, " i %llu b %lld", (unsigned long long)status->st_ino, (long long)status->st_blocks);
        say_time(s, "a", status->st_atim.tv_sec, status->st_atim.tv_nsec);
        say_time(s, "c", status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
    }
    say(s, "\n");
}

/* What filled `status`, which was all 0xee before. */
static void answer_status(struct script *s, const char *call, long value, int error, const struct stat *status) {
    if (value != 0 || error != 0) {
        answer(s, call, value, error);
        if (value == -1 && ((const unsigned char *)status)[8] != 0xee)
            say(s, "%d touched all the same\n", s->line);
        return;
    }
    say(s, "%d %s: ", s->line, call);
    say_status(s, status);
}

#define BAD_POINTER ((void *)16)

/* Calls what fills `*out`; now and then `out` is a bad pointer. */
#define ASK_STATUS(call, expression)                              \
    do {                                                          \
        struct stat status_, *out;                                \
        memset(&status_, 0xee, sizeof status_);                   \
        out = pick(s, 80) == 0 ? BAD_POINTER : &status_;          \
        errno = 0;                                                \
        long answer_ = (long)(expression);                        \
        answer_status(s, call, answer_, errno, &status_);         \
    } while (0)

/* A descriptor to start from: mostly the slot's, now and then none or a bad one. */
static int from(struct script *s) {
    static const int OTHERS[] = {AT_FDCWD, AT_FDCWD, -1, 12345, AT_FDCWD};
    return pick(s, 4) == 0 ? OTHERS[pick(s, COUNT(OTHERS))] : s->slots[s->slot];
}

static void keep(struct script *s, int slot, int fd) {
    if (s->slots[slot] >= 0)
        close(s->slots[slot]);
    s->slots[slot] = fd;
}

/* The path, for calls that look at it before the kernel does. */
static const char *readable(struct script *s) {
    return (uintptr_t)s->path < 4096 || (uintptr_t)s->path >= 0x7ffffffff000 ? "" : s->path;
}

static const int AT_FLAGS[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
                               AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_EACCESS,
                               0x4000, 0x10000, 0x40000000};

#endif
