/*
 * What a program pays for starting another one: exec ROUNDS PROGRAM [ARG...]
 *
 * fork(2), execv(2) in the child and waitpid(2), all by the C library, so that a preload in this process and in
 * the program is in it. Prints the nanoseconds of the median round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

int main(int argc, char **argv)
{
	long rounds = argc > 2 ? atol(argv[1]) : 0, i;
	double *ns = calloc(rounds > 0 ? (size_t)rounds : 1, sizeof *ns);

	if (rounds < 1 || !ns) {
		fprintf(stderr, "usage: exec ROUNDS PROGRAM [ARG...]\n");
		return 2;
	}
	for (i = 0; i < rounds; i++) {
		double start = now_ns();
		int status;
		pid_t child = fork();

		if (child == 0) {
			execv(argv[2], argv + 2);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
			fprintf(stderr, "exec: %s failed\n", argv[2]);
			return 1;
		}
		ns[i] = now_ns() - start;
	}
	qsort(ns, (size_t)rounds, sizeof *ns, compare);
	printf("%.0f\n", ns[rounds / 2]);
	return 0;
}
