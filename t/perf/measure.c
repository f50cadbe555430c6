/* Runs a command and says what it took.
 *
 * usage: measure COMMAND [ARG...]
 *
 * Writes "WALL USER SYS MAXRSS_KIB STATUS" to descriptor 3. It exists because the peak memory that Linux reports of a
 * process includes that of whoever started it, which would be the benchmark's own interpreter. CPU is that of all
 * processes below the command, MAXRSS that of the largest one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND [ARG...]\n");
		return 2;
	}
	double start = now();
	pid_t pid = fork();
	if (pid < 0) { perror("fork"); return 1; }
	if (pid == 0) {
		close(3);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	int status;
	struct rusage u;
	while (wait4(pid, &status, 0, &u) < 0)
		if (errno != EINTR) { perror("wait4"); return 1; }
	dprintf(3, "%.4f %ld.%06ld %ld.%06ld %ld %d\n", now() - start, u.ru_utime.tv_sec, u.ru_utime.tv_usec,
		u.ru_stime.tv_sec, u.ru_stime.tv_usec, u.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
