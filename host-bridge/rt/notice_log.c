/* SPDX-License-Identifier: MIT */
/*
 * Notices are kept, each with its time, as far as there is room: who is not at the
 * serial line when one comes, or has none, reads it later.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/notice_log.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/wall.h"

static struct {
	struct notice_listener listener;
	uint64_t end;			/* bytes so far */
	char text[NOTICE_LOG];		/* a ring */
} kept;

static void put(const char *text)
{
	for (; *text; text++) {
		kept.text[kept.end++ % NOTICE_LOG] = *text;
	}
}

/* The secret mark stays here. */
static void on_notice(struct notice_listener *listener, const char *text)
{
	time_t s = (time_t)(wall_now_ns() / 1000000000);
	size_t mark = strlen(stage_mark());
	char date[32];
	struct tm tm;

	(void)listener;
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S ", gmtime_r(&s, &tm));
	put(date);
	put(strncmp(text, stage_mark(), mark) == 0 ? text + mark : text);
	put("\n");
}

/** See notice_log.h. Once. */
void notice_log_init(void)
{
	kept.listener.line = on_notice;
	notice_listener_add(&kept.listener);
}

/** See notice_log.h. */
size_t notice_log_read(void *arg, uint64_t *at, char *buf, size_t size)
{
	uint64_t oldest = kept.end > NOTICE_LOG ? kept.end - NOTICE_LOG : 0;
	size_t n = 0;

	(void)arg;
	if (*at < oldest) {
		*at = oldest;
		while (*at < kept.end &&
		       kept.text[(*at)++ % NOTICE_LOG] != '\n') {
		}
	}
	while (n < size && *at < kept.end) {
		buf[n++] = kept.text[(*at)++ % NOTICE_LOG];
	}
	return n;
}
