/* A parallel stat walk: reads every directory below DIR and stats every entry, and nothing else.
 *
 * usage: statwalk DIR [THREADS]
 *
 * It is the floor of a snapshot that finds nothing changed. Directories wait on one stack, and any thread takes the
 * next; an entry is stat'ed relative to its directory's descriptor. Prints the number of entries. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir { struct dir *next; char path[]; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct dir *stack;
static int busy;
static unsigned long total;

static void push(const char *parent, const char *name)
{
	size_t a = strlen(parent), b = strlen(name);
	struct dir *d = malloc(sizeof *d + a + b + 2);
	if (!d) abort();
	memcpy(d->path, parent, a);
	d->path[a] = '/';
	memcpy(d->path + a + 1, name, b + 1);
	pthread_mutex_lock(&lock);
	d->next = stack;
	stack = d;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}

static unsigned long scan(const char *path)
{
	unsigned long n = 0;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) { perror(path); return 0; }
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) { perror(e->d_name); continue; }
		n++;
		if (S_ISDIR(st.st_mode)) push(path, e->d_name);
	}
	closedir(d);
	return n;
}

static void *work(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!stack && busy) pthread_cond_wait(&wake, &lock);
		if (!stack) break;
		struct dir *d = stack;
		stack = d->next;
		busy++;
		pthread_mutex_unlock(&lock);
		unsigned long n = scan(d->path);
		free(d);
		pthread_mutex_lock(&lock);
		total += n;
		busy--;
	}
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 2;
	if (argc < 2 || argc > 3 || threads < 1 || threads > 256) {
		fprintf(stderr, "usage: statwalk DIR [THREADS]\n");
		return 2;
	}
	struct dir *root = malloc(sizeof *root + strlen(argv[1]) + 1);
	if (!root) abort();
	root->next = NULL;
	strcpy(root->path, argv[1]);
	stack = root;
	pthread_t t[256];
	for (int i = 1; i < threads; i++)
		if (pthread_create(&t[i], NULL, work, NULL)) abort();
	work(NULL);
	for (int i = 1; i < threads; i++) pthread_join(t[i], NULL);
	printf("%lu\n", total);
	return 0;
}
