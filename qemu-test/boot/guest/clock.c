/* SPDX-License-Identifier: MIT */
/*
 * clock FILE ROUNDS: makes FILE again and again, and prints how far its time is
 * outside of the time that it took, in us: 0 when both clocks are one. Negative:
 * older than the moment before; positive: newer than the moment after.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long long us(struct timespec t)
{
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	struct timespec before, after;
	struct stat st;

	for (int i = argc > 2 ? atoi(argv[2]) : 0; i > 0; i--) {
		int fd;

		unlink(argv[1]);
		clock_gettime(CLOCK_REALTIME, &before);
		fd = open(argv[1], O_CREAT | O_WRONLY, 0644);
		clock_gettime(CLOCK_REALTIME, &after);
		if (fd < 0 || fstat(fd, &st) != 0) {
			perror(argv[1]);
			return 1;
		}
		close(fd);
		printf("%lld\n", us(st.st_mtim) < us(before) ?
		       us(st.st_mtim) - us(before) :
		       us(st.st_mtim) > us(after) ?
		       us(st.st_mtim) - us(after) : 0);
		sleep(1);
	}
	return 0;
}
