/* SPDX-License-Identifier: MIT */
/*
 * Laid over the C library when Bochs is to save its state: its debugger has no
 * command for that, only buttons have. What it opens by a name that begins with
 * SAVE is no file: the state goes into the folder behind that. Its debugger opens
 * something ("writemem") between two instructions, where the state is whole.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SAVE	"isthmus-save:"

typedef FILE *open_t(const char *, const char *);
/* Bochs's SIM->save_state(), as its plugins see it. */
typedef _Bool save_t(void *, const char *);

static FILE *open_by(const char *name, const char *path, const char *mode)
{
	open_t *next = (open_t *)dlsym(RTLD_NEXT, name);
	save_t *save;
	void **sim;

	if (strncmp(path, SAVE, strlen(SAVE)) != 0) {
		return next(path, mode);
	}
	sim = (void **)dlsym(RTLD_DEFAULT, "SIM");
	save = (save_t *)dlsym(RTLD_DEFAULT,
			       "_ZN13bx_real_sim_c10save_stateEPKc");
	if (!sim || !save || !save(*sim, path + strlen(SAVE))) {
		fputs("isthmus: the state was not saved\n", stderr);
	}
	errno = ENOENT;
	return NULL;
}

FILE *fopen(const char *path, const char *mode)
{
	return open_by("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return open_by("fopen64", path, mode);
}
