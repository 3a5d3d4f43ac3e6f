/*
 * What starting a program costs, with and without some variables: spawn ROUNDS NAME=VALUE... -- PROGRAM [ARG...]
 *
 * Alternates the two environments (this one without the variables, and with them added), measures fork to exit
 * of each with CLOCK_MONOTONIC, and prints `PLAIN_NS WITH_NS`, one line a round. This process itself must be
 * started without the variables: only its children carry them.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double run_once(char **argv, char **env)
{
	double start = now_ns();
	int status;
	pid_t child;

	if (posix_spawnp(&child, argv[0], NULL, NULL, argv, env) != 0 || waitpid(child, &status, 0) < 0 || status != 0) {
		fprintf(stderr, "spawn: %s failed\n", argv[0]);
		exit(1);
	}
	return now_ns() - start;
}

int main(int argc, char **argv)
{
	size_t own = 0, extra = 0;
	char **with;
	long rounds, i;
	int at = 2;

	while (at < argc && strcmp(argv[at], "--") != 0)
		at++;
	if (argc < 3 || at + 1 >= argc) {
		fprintf(stderr, "usage: spawn ROUNDS NAME=VALUE... -- PROGRAM [ARG...]\n");
		return 2;
	}
	extra = (size_t)at - 2;
	while (environ[own])
		own++;
	with = calloc(own + extra + 1, sizeof *with);
	if (!with)
		return 2;
	memcpy(with, environ, own * sizeof *with);
	memcpy(with + own, argv + 2, extra * sizeof *with);
	rounds = atol(argv[1]);
	for (i = -3; i < rounds; i++) { /* three rounds to warm up */
		double plain_ns, with_ns;
		if (i & 1) {
			plain_ns = run_once(argv + at + 1, environ);
			with_ns = run_once(argv + at + 1, with);
		} else {
			with_ns = run_once(argv + at + 1, with);
			plain_ns = run_once(argv + at + 1, environ);
		}
		if (i >= 0)
			printf("%.0f %.0f\n", plain_ns, with_ns);
	}
	return 0;
}
