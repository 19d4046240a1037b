/* SPDX-License-Identifier: MIT */
/* Used by the crash dump, too: there is nothing here that could go wrong. */
#include <string.h>

#include "host-bridge/rt/black_box.h"
#include "host-bridge/rt/notice.h"
#include "proto/black_box.h"

static struct box_host *box;	/* NULL: there is none */
static void (*machine_reset)(void);

static void on_notice(struct notice_listener *listener, const char *text)
{
	(void)listener;
	black_box_say(text);
	black_box_say("\n");
}

/** See black_box.h. Once, on this program's own page tables. */
void black_box_init(const struct host_info *info)
{
	static struct notice_listener listener = { .line = on_notice };

	for (uint32_t i = 0; i < info->module_count; i++) {
		const struct host_module *m = &info->modules[i];

		if (strcmp(m->name, HOST_BOX_MODULE) == 0 &&
		    m->size >= sizeof(*box)) {
			box = (struct box_host *)(uintptr_t)m->gpa;
			/* the program before may have had no end of its own */
			box_go_on(&box->log);
			notice_listener_add(&listener);
		}
	}
}

/** See black_box.h. */
void black_box_set_reset(void (*reset)(void))
{
	machine_reset = reset;
}

/** See black_box.h. From anywhere. */
void black_box_say(const char *text)
{
	for (; box && *text; text++) {
		box_put(&box->log, *text);
	}
}

/** See black_box.h. */
void black_box_clean(void)
{
	if (box) {
		box->end = BOX_CLEAN;
	}
}

/** See black_box.h. */
void black_box_crashed(void)
{
	if (box) {
		box->end = BOX_CRASHED;
	}
	if (machine_reset) {
		machine_reset();
	}
}
