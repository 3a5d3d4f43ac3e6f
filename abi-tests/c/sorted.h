/* Lines that are printed in order: what a walk finds in the order of the directory, which is the file
 * system's own. And what a walk must leave as it was. */
#ifndef SORTED_H
#define SORTED_H
#include "probe.h"

static char *lines[20000];
static int line_count;

/* Keeps one line. */
static void keep(const char *format, ...) {
    va_list arguments;
    if (line_count == COUNT(lines)) {
        printf("more than %d lines\n", line_count);
        exit(2);
    }
    va_start(arguments, format);
    if (vasprintf(&lines[line_count++], format, arguments) < 0)
        exit(2);
    va_end(arguments);
}

static int compare_lines(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Prints what was kept: all of it, or beyond `most` lines their sum. */
static void print_in_order(const char *call, const char *path, int most) {
    uint64_t hash = FNV_START;
    for (int at = 0; at < line_count; at++)
        hash = fnv(hash, lines[at], strlen(lines[at]) + 1);
    label(call, path);
    printf("%d lines %016llx\n", line_count, (unsigned long long)hash);
    for (int at = 0; at < line_count; at++) {
        if (line_count <= most) {
            printf("  ");
            print_text(lines[at]);
            putchar('\n');
        }
        free(lines[at]);
    }
    line_count = 0;
}

/* The same, sorted. */
static void print_lines(const char *call, const char *path, int most) {
    qsort(lines, line_count, sizeof *lines, compare_lines);
    print_in_order(call, path, most);
}

/* Parts of stat that are the same on the disk and in a manifest. */
__attribute__((unused)) static const char *status_text(const struct stat *s) {
    static char text[120];
    snprintf(text, sizeof text, "mode=%o size=%lld mtime=%lld.%09ld", s->st_mode, (long long)s->st_size,
             (long long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
    return text;
}

/* Descriptors that are open. */
static int descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static char start_directory[PATH_MAX];
static int start_descriptors;

/* Notes what a walk must leave as it is. */
__attribute__((unused)) static void before_walk(void) {
    if (getcwd(start_directory, sizeof start_directory) == NULL)
        strcpy(start_directory, "?");
    start_descriptors = descriptors();
}

__attribute__((unused)) static void after_walk(const char *call, const char *path) {
    char now[PATH_MAX];
    if (getcwd(now, sizeof now) == NULL)
        strcpy(now, "?");
    if (strcmp(now, start_directory) != 0)
        printf("%s %s: working directory became %s\n", call, path, now);
#ifdef __GLIBC__ /* musl's nftw loses some where it finds a cycle */
    if (descriptors() != start_descriptors)
        printf("%s %s: %d descriptors became %d\n", call, path, start_descriptors, descriptors());
#endif
}

#endif
