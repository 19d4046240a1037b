/* SPDX-License-Identifier: MIT */
/*
 * sharing DIR: what several processes, openers and mappings of one file see of
 * each other: locks, watches, shared memory, and the three together as a
 * database in WAL mode has them. As answers.c it prints what must be the same
 * on every file system, and says what is late or wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ASK(call) ask(#call, (long)(call))
#define PAGE	4096
#define LATE	300		/* ms; a lock that is polled for takes longer */

static long ask(const char *text, long value)
{
	printf("%s: %ld%s%s\n", text, value, value < 0 ? " " : "",
	       value < 0 ? strerror(errno) : "");
	return value;
}

static int lock(int f, int how, short type, off_t start, off_t len)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET,
			       .l_start = start, .l_len = len };

	return fcntl(f, how, &range);
}

static void show_lock(int f, short type, off_t start, off_t len, pid_t known)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET,
			       .l_start = start, .l_len = len };

	if (ask("F_GETLK", fcntl(f, F_GETLK, &range)) == 0) {
		printf("  type %d, %ld and %ld bytes%s\n", range.l_type,
		       (long)range.l_start, (long)range.l_len,
		       range.l_type == F_UNLCK ? "" :
		       range.l_pid == known ? ", the child's" : ", whose?");
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

enum { BY_FLOCK, BY_FCNTL, BY_OFD };

static int take(int f, int kind, bool wait_for_it)
{
	return kind == BY_FLOCK ? flock(f, LOCK_EX | (wait_for_it ? 0 :
						      LOCK_NB)) :
	       lock(f, kind == BY_OFD ? wait_for_it ? F_OFD_SETLKW :
		    F_OFD_SETLK : wait_for_it ? F_SETLKW : F_SETLK,
		    F_WRLCK, 0, 0);
}

static void release(int f, int kind)
{
	if (kind == BY_FLOCK) {
		flock(f, LOCK_UN);
	} else {
		lock(f, kind == BY_OFD ? F_OFD_SETLK : F_SETLK, F_UNLCK, 0, 0);
	}
}

/* Only there to interrupt what waits. */
static void on_signal(int number)
{
	(void)number;
}

/* A process that has a lock and lets go of it in some way, another that waits:
 * how late it gets it. */
static void wake(int kind, int way)
{
	static const char *const kinds[] = { "flock", "fcntl", "OFD" };
	static const char *const ways[] = { "unlocked", "closed", "exited",
					    "killed" };
	int has[2], tried[2], got[2], f;
	double start, at = 0;
	pid_t holder;
	char c = 0;

	if (pipe(has) || pipe(tried) || pipe(got)) {
		exit(1);
	}
	fflush(stdout);
	holder = fork();
	if (holder == 0) {
		f = open("wake", O_RDWR | O_CREAT, 0644);
		take(f, kind, true);
		if (write(has[1], "h", 1) != 1 || read(tried[0], &c, 1) != 1) {
			exit(1);
		}
		usleep(200000);
		start = now();
		if (write(got[1], &start, sizeof(start)) != 8) {
			exit(1);
		}
		if (way == 0) {
			release(f, kind);
		} else if (way == 1) {
			close(f);
		} else if (way == 2) {
			_exit(0);
		} else {
			kill(getpid(), SIGKILL);
		}
		usleep(400000);
		_exit(0);
	}
	if (read(has[0], &c, 1) != 1) {
		exit(1);
	}
	f = open("wake", O_RDWR | O_CREAT, 0644);
	printf("%s, %s: %s, ", kinds[kind], ways[way],
	       take(f, kind, false) ? strerror(errno) : "got at once");
	if (write(tried[1], &c, 1) != 1) {
		exit(1);
	}
	/* Not for ever. */
	alarm(5);
	printf("%d, ", take(f, kind, true));
	alarm(0);
	at = now();
	if (read(got[0], &start, sizeof(start)) != sizeof(start) ||
	    at - start > LATE) {
		printf("%.0f ms late\n", at - start);
	} else {
		printf("in time\n");
	}
	close(f);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	close(has[0]);
	close(has[1]);
	close(tried[0]);
	close(tried[1]);
	close(got[0]);
	close(got[1]);
}

/* What a child holds: its ranges, and nothing of the other kind. */
static void conflicts(void)
{
	int ready[2], f = open("lk", O_RDWR | O_CREAT, 0644), g, h;
	pid_t child;
	char c;

	if (pipe(ready)) {
		exit(1);
	}
	fflush(stdout);
	child = fork();
	if (child == 0) {
		g = open("lk", O_RDWR);
		lock(g, F_SETLK, F_WRLCK, 100, 100);
		lock(g, F_SETLK, F_RDLCK, 300, 100);
		lock(g, F_SETLK, F_UNLCK, 150, 10);
		c = (char)(flock(g, LOCK_SH) ? errno : 0);
		if (write(ready[1], &c, 1) != 1) {
		exit(1);
	}
		pause();
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1) {
		exit(1);
	}
	ASK(c);
	show_lock(f, F_WRLCK, 0, 0, child);
	show_lock(f, F_WRLCK, 150, 10, child);
	show_lock(f, F_WRLCK, 155, 100, child);
	show_lock(f, F_RDLCK, 300, 10, child);
	show_lock(f, F_WRLCK, 300, 10, child);
	ASK(lock(f, F_SETLK, F_WRLCK, 120, 1));
	ASK(lock(f, F_SETLK, F_RDLCK, 300, 1000));
	ASK(lock(f, F_SETLK, F_WRLCK, 0, 100));
	ASK(flock(f, LOCK_EX | LOCK_NB));
	ASK(flock(f, LOCK_SH | LOCK_NB));
	alarm(1);
	ASK(lock(f, F_SETLKW, F_WRLCK, 0, 0));
	alarm(1);
	ASK(flock(f, LOCK_EX));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ASK(lock(f, F_SETLKW, F_WRLCK, 0, 0));
	ASK(flock(f, LOCK_EX));
	/* Any close of the file's takes the process's fcntl locks away. */
	g = open("lk", O_RDWR);
	ASK(flock(g, LOCK_EX | LOCK_NB));
	ASK(lock(g, F_OFD_SETLK, F_WRLCK, 0, 0));
	close(g);
	g = open("lk", O_RDWR);
	ASK(lock(g, F_OFD_SETLK, F_WRLCK, 0, 0));
	/* An open file's own: in everybody's way, also of who opened it. */
	alarm(1);
	ASK(lock(f, F_OFD_SETLKW, F_RDLCK, 0, 1));
	alarm(1);
	ASK(lock(f, F_SETLKW, F_RDLCK, 0, 1));
	h = open("lk", O_RDONLY);
	ASK(lock(g, F_OFD_SETLK, F_UNLCK, 0, 0));
	ASK(lock(h, F_OFD_SETLK, F_RDLCK, 0, 0));
	ASK(lock(f, F_OFD_SETLK, F_WRLCK, 0, 0));
	close(h);
	ASK(lock(f, F_OFD_SETLK, F_WRLCK, 0, 0));
	ASK(flock(f, LOCK_UN));
	ASK(flock(g, LOCK_EX | LOCK_NB));
	close(g);
	close(f);
	f = open("lk", O_RDONLY);
	ASK(lock(f, F_SETLK, F_WRLCK, 0, 0));
	ASK(flock(f, LOCK_EX | LOCK_NB));
	close(f);
}

/* Two processes that wait for each other: one of them is told. */
static void deadlock(void)
{
	int f = open("dead", O_RDWR | O_CREAT, 0644), status = 0;
	pid_t child;
	long mine;

	lock(f, F_SETLK, F_WRLCK, 0, 1);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		lock(f, F_SETLK, F_WRLCK, 1, 1);
		alarm(20);
		_exit(lock(f, F_SETLKW, F_WRLCK, 0, 1) ? errno : 0);
	}
	usleep(300000);
	alarm(10);
	mine = lock(f, F_SETLKW, F_WRLCK, 1, 1) ? errno : 0;
	close(f);
	alarm(0);
	waitpid(child, &status, 0);
	printf("deadlock: %s\n", mine == EDEADLK ||
	       (WIFEXITED(status) && WEXITSTATUS(status) == EDEADLK) ?
	       "seen" : "not seen");
}

static void print_events(int q)
{
	char text[8192] __attribute__((aligned(8)));
	struct pollfd ready = { .fd = q, .events = POLLIN };
	unsigned int cookie = 0;

	while (poll(&ready, 1, 0) == 1) {
		ssize_t n = read(q, text, sizeof(text));

		for (ssize_t at = 0; at < n; ) {
			struct inotify_event *e = (void *)(text + at);

			printf("  %d %x %s%s\n", e->wd, e->mask,
			       e->len ? e->name : "", !e->cookie ? "" :
			       e->cookie == cookie ? ", the same cookie" :
			       ", a cookie");
			cookie = e->cookie;
			at += (ssize_t)sizeof(*e) + e->len;
		}
	}
}

/* inotify, with the folder's inode kept or not, of a file and of a folder. */
static void watches(void)
{
	int q = inotify_init1(IN_NONBLOCK), f;

	ASK(mkdir("in", 0755));
	ASK(mkdir("in2", 0755));
	ASK(inotify_add_watch(q, "in", IN_ALL_EVENTS));
	ASK(inotify_add_watch(q, "in2", IN_MOVE | IN_CREATE | IN_DELETE));
	f = open("in/a", O_CREAT | O_RDWR, 0644);
	ASK(write(f, "text", 4));
	ASK(pread(f, (char[4]){ 0 }, 4, 0));
	close(f);
	print_events(q);
	ASK(inotify_add_watch(q, "in/a", IN_ALL_EVENTS));
	ASK(chmod("in/a", 0600));
	ASK(link("in/a", "in/b"));
	ASK(rename("in/a", "in/c"));
	ASK(rename("in/c", "in2/d"));
	ASK(truncate("in2/d", 1));
	print_events(q);
	ASK(unlink("in/b"));
	ASK(unlink("in2/d"));
	ASK(mkdir("in/sub", 0755));
	ASK(symlink("x", "in/link"));
	ASK(rmdir("in/sub"));
	ASK(unlink("in/link"));
	print_events(q);
	ASK(rmdir("in"));
	print_events(q);
	close(q);
}

static sigjmp_buf after_fault;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(after_fault, 1);
}

static void mappings(void)
{
	int f = open("mm", O_RDWR | O_CREAT, 0644), status = 0;
	char text[8] = "";
	char *m, *r, *p;

	ASK(ftruncate(f, 2 * PAGE));
	m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	r = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, f, 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
	if (m == MAP_FAILED || r == MAP_FAILED || p == MAP_FAILED) {
		ask("mmap", -1);
		return;
	}
	strcpy(m, "map");
	ASK(pread(f, text, 4, 0));
	printf("  %s %s %s\n", text, r, p);
	ASK(pwrite(f, "wri", 3, 0));
	printf("  %s %s\n", m, p);
	strcpy(p, "own");
	ASK(pread(f, text, 4, 0));
	printf("  %s %s\n", text, r);
	fflush(stdout);
	if (fork() == 0) {
		strcpy(m + PAGE, "child");
		_exit(strcmp(m, "wri") != 0);
	}
	wait(&status);
	printf("child %d: %s\n", status, m + PAGE);
	ASK(msync(m, 2 * PAGE, MS_SYNC));
	signal(SIGBUS, on_fault);
	if (sigsetjmp(after_fault, 1) == 0) {
		m[3 * PAGE] = 1;
		printf("past the end: no fault\n");
	} else {
		printf("past the end: a fault\n");
	}
	ASK(ftruncate(f, 4 * PAGE));
	m[3 * PAGE] = 'x';
	ASK(ftruncate(f, PAGE));
	if (sigsetjmp(after_fault, 1) == 0) {
		printf("after the cut: %d\n", m[PAGE]);
	} else {
		printf("after the cut: a fault\n");
	}
	ASK(ftruncate(f, 4 * PAGE));
	printf("  %d %d\n", m[PAGE], m[3 * PAGE]);
	strcpy(m + 2 * PAGE, "last");
	munmap(m, 4 * PAGE);
	close(f);
	f = open("mm", O_RDONLY);
	ASK(pread(f, text, 5, 2 * PAGE));
	printf("  %s\n", text);
	ask("a writable map of a read-only file",
	    mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, f, 0) == MAP_FAILED ?
	    -1 : 0);
	close(f);
}

#define WRITERS	3
#define RECORDS	100

/* A writer of a log whose length is in shared memory, under a byte's lock. */
static void write_log(int log, int index, volatile long *shared, long me)
{
	for (long i = 0; i < RECORDS; i++) {
		long record[2] = { me, i };

		lock(index, F_SETLKW, F_WRLCK, 120, 1);
		if (pwrite(log, record, sizeof(record),
			   shared[0] * (off_t)sizeof(record)) !=
		    sizeof(record)) {
			_exit(1);
		}
		shared[0]++;
		shared[me] = i + 1;
		lock(index, F_SETLK, F_UNLCK, 120, 1);
	}
}

/* Three writers; then each writer's records are there, in its order. */
static void write_ahead(void)
{
	int index = open("shm", O_RDWR | O_CREAT, 0644);
	int log = open("log", O_RDWR | O_CREAT, 0644);
	long next[WRITERS + 1] = { 0 }, record[2], count = 0, wrong = 0;
	volatile long *shared;

	ftruncate(index, 32768);
	shared = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, index,
		      0);
	if (shared == MAP_FAILED) {
		ask("mmap of the index", -1);
		return;
	}
	fflush(stdout);
	for (long me = 1; me <= WRITERS; me++) {
		if (fork() == 0) {
			int own_log = open("log", O_RDWR);

			write_log(own_log, open("shm", O_RDWR), shared, me);
			_exit(0);
		}
	}
	while (wait(NULL) > 0) {
	}
	while (pread(log, record, sizeof(record),
		     count * (off_t)sizeof(record)) == sizeof(record)) {
		wrong += record[0] < 1 || record[0] > WRITERS ||
			 record[1] != next[record[0]]++;
		count++;
	}
	printf("log: %ld records of %ld, %ld wrong; %ld %ld %ld\n", count,
	       shared[0], wrong, shared[1], shared[2], shared[3]);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGALRM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	umask(022);
	if (argc != 2 || mkdir(argv[1], 0755) || chdir(argv[1])) {
		perror("sharing");
		return 1;
	}
	conflicts();
	deadlock();
	watches();
	mappings();
	write_ahead();
	for (int kind = BY_FLOCK; kind <= BY_OFD; kind++) {
		for (int way = 0; way < 4; way++) {
			wake(kind, way);
		}
	}
	printf("sharing: done\n");
	return 0;
}
