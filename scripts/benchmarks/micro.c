/*
 * One file operation over a list of paths, timed in process: micro OP LIST BUDGET_MS
 *
 * LIST holds one path a line. A pass does OP once on every path; one warm-up pass, then at least five
 * passes and as many as BUDGET_MS allows, each timed with CLOCK_MONOTONIC. Prints
 *     NS OK SUM
 * the median pass in nanoseconds an operation, how many operations of one pass succeeded, and a sum over
 * what they answered (sizes, bytes, entries). The caller compares OK and SUM between the modes: a mode that
 * answers something else is not faster, it is wrong.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PASSES = 4096, MIN_PASSES = 5 };

typedef long (*operation)(const char *path); /* what it answered, or -1 */

static char buffer[1 << 16];

static long op_stat(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static long op_access(const char *path)
{
	return access(path, R_OK) == 0 ? 1 : -1;
}

static long op_readlink(const char *path)
{
	return readlink(path, buffer, sizeof buffer);
}

/*
 * No room for an answer: the kernel refuses that before it looks at the path (readlink(2), EINVAL), so the system call is
 * as short as one with a path can be, and what a preload library adds to it shows.
 */
static long op_refused(const char *path)
{
	return readlink(path, buffer, 0);
}

static long op_openread(const char *path)
{
	struct stat st;
	long total = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0)
		return -1;
	got = read(fd, buffer, sizeof buffer);
	if (got > 0)
		total = got + (unsigned char)buffer[0];
	close(fd);
	return total + (long)st.st_size;
}

static long op_readdir(const char *path)
{
	struct dirent *entry;
	long names = 0;
	DIR *dir = opendir(path);
	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name; /* squashfuse leaves out "." and "..": they do not count */
		if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2])))
			names += (long)strlen(name);
	}
	closedir(dir);
	return names;
}

static const struct {
	const char *name;
	operation run;
} operations[] = {
	{ "stat", op_stat },	     { "access", op_access },	{ "readlink", op_readlink },
	{ "openread", op_openread }, { "readdir", op_readdir },	{ "refused", op_refused },
};

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static char **read_list(const char *file, size_t *count)
{
	FILE *in = fopen(file, "r");
	char **paths = NULL, *line = NULL;
	size_t room = 0, line_bytes = 0;
	ssize_t got;

	*count = 0;
	if (!in)
		return NULL;
	while ((got = getline(&line, &line_bytes, in)) > 0) {
		if (line[got - 1] == '\n')
			line[got - 1] = 0;
		if (*count == room) {
			room = room ? room * 2 : 1024;
			paths = realloc(paths, room * sizeof *paths);
			if (!paths)
				return NULL;
		}
		paths[(*count)++] = strdup(line);
	}
	free(line);
	fclose(in);
	return paths;
}

int main(int argc, char **argv)
{
	static double pass_ns[MAX_PASSES];
	operation run = NULL;
	size_t count, i, passes = 0;
	long ok = 0, sum = 0;
	double deadline;
	char **paths;

	if (argc != 4) {
		fprintf(stderr, "usage: micro stat|access|readlink|openread|readdir|refused LIST BUDGET_MS\n");
		return 2;
	}
	for (i = 0; i < sizeof operations / sizeof *operations; i++)
		if (strcmp(operations[i].name, argv[1]) == 0)
			run = operations[i].run;
	paths = read_list(argv[2], &count);
	if (!run || !paths || !count) {
		fprintf(stderr, "micro: unknown operation, or nothing in %s\n", argv[2]);
		return 2;
	}
	for (i = 0; i < count; i++) { /* warm-up, and the answer itself */
		long got = run(paths[i]);
		if (got >= 0) {
			ok++;
			sum += got;
		}
	}
	deadline = now_ns() + atof(argv[3]) * 1e6;
	while (passes < MIN_PASSES || (passes < MAX_PASSES && now_ns() < deadline)) {
		double start = now_ns();
		for (i = 0; i < count; i++)
			run(paths[i]);
		pass_ns[passes++] = (now_ns() - start) / (double)count;
	}
	qsort(pass_ns, passes, sizeof *pass_ns, by_value);
	printf("%.2f %ld %ld\n", pass_ns[passes / 2], ok, sum);
	return 0;
}
