/* Started with descriptors 0 to 2 closed: the next ones that are opened get these numbers.
 * Usage: closed P report */
#include "probe.h"

int main(int argc, char **argv) {
    char buffer[PATH_MAX], text[16] = "";
    struct stat s;
    P = argv[1];
    int open_before = 0;
    for (int fd = 0; fd < 64; fd++)
        open_before += fcntl(fd, F_GETFD) != -1;
    int stat_answer = stat(at("plain.txt"), &s);
    int file = open(at("plain.txt"), O_RDONLY), dir = open(at("dir"), O_RDONLY | O_DIRECTORY), third = open(at("dir/same-a"), O_RDONLY);
    ssize_t count = read(file, text, 3);
    int chdir_answer = chdir(at("dir"));
    char *cwd = getcwd(buffer, sizeof buffer);
    FILE *report = fopen(argv[2], "w");
    if (report == NULL)
        return 1;
    fprintf(report, "%d open, stat %d, fds %d %d %d, read %zd %s, chdir %d %s, report %d\n", open_before, stat_answer, file, dir, third, count,
            text, chdir_answer, cwd, fileno(report));
    fclose(report);
    return 0;
}
