/* SPDX-License-Identifier: MIT */
/*
 * Distributions: root file systems whose processes have this Linux's kernel and
 * network in common, and all else for themselves. Names and settings
 * (distro_config.c, pure), where roots are (distro_find.c), what runs
 * (distro_state.c), its limits (distro_cgroup.c, distro_spare.c), its root
 * (distro_mount.c, distro_root.c, distro_dev.c), names of the network in there
 * (distro_names.c), its start, life and end (distro_start.c, distro_keep.c,
 * distro_ready.c, distro_stop.c, distro_initctl.c), what its init is when it has none
 * (distro_init.c), the way in
 * (distro_enter.c), what changes one that does not run (distro_change.c,
 * distro_archive.c, distro_convert.c with distro_switch.c and distro_tree.h), and the
 * program `distro` (distro.c).
 *
 * Who is root in a distribution can do to this Linux what root can; but nothing that
 * is done here for one trusts what it has written: its paths are looked up inside
 * its root only, its texts are parsed.
 */
#ifndef GUEST_INIT_DISTRO_H
#define GUEST_INIT_DISTRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "init.h"

#define DISTRO_STOP_SECONDS	90	/* what its init may take to end all */
#define DISTRO_PATH_MAX		255u	/* of an init's path */
#define DISTRO_TEXT_MAX		4096u	/* of a file that is read here */

/* The part of its control group for what is entered from outside, which is not among
 * what its init manages: in it is one for each user, called by his number, and one for
 * the agent's sessions. */
#define DISTRO_ENTERED	"isthmus.scope"
#define DISTRO_SESSIONS	DISTRO_ENTERED "/agent"

#define DISTRO_DIR	INIT_HOST_DIR "/distros"
#define DISTRO_RUN	"/run/distro"	/* a folder for each that runs */
#define DISTRO_NOTIFY	"/run/host/notify"	/* in its root */
#define DISTRO_CONFIG	"etc/isthmus-distro"	/* in the root of a disk */

/* Settings of a distribution. */
struct distro_config {
	char user[DISTRO_USER_MAX + 1];
	char init[DISTRO_PATH_MAX + 1];	/* "": not said; "none" */
};

enum distro_form {
	DISTRO_NOWHERE,
	DISTRO_DISK,		/* a disk of this Linux's */
	DISTRO_IMAGE,		/* an image on the host's volume */
	DISTRO_FILES,		/* files on the host's volume */
};

/* Where a root is. */
struct distro_place {
	enum distro_form form;
	char device[32];	/* DISK: in /dev */
	int fd;			/* IMAGE, FILES: of it; close-on-exec */
};

/* distro_config.c */
bool distro_name_ok(const char *name);
bool distro_user_ok(const char *user);
void distro_config_parse(char *text, struct distro_config *config);
bool distro_word_parse(const char *word, char *name, char *user);
int distro_stop_signal(const char *comm, const char *exe);
bool distro_init_notifies(const char *exe);
bool distro_ready_text(const char *text);
uint64_t distro_memory_max(uint64_t total);
bool distro_hosts_text(const char *old, const char *ours, char *to, size_t size);

/* distro_find.c */
int distro_open(int dir, const char *path, int flags);
bool distro_read(int dir, const char *path, char text[DISTRO_TEXT_MAX]);
bool distro_find(const char *name, struct distro_place *place);
void distro_each(void (*take)(void *arg, const char *name), void *arg);
void distro_settings(const char *name, enum distro_form form,
		     struct distro_config *config);

/* distro_state.c */
int distro_lock(const char *name);
bool distro_lock_change(const char *name);
pid_t distro_changer(const char *name);
bool distro_kept(const char *name);
bool distro_say(const char *name, pid_t init);
void distro_say_ready(const char *name);
bool distro_is_ready(const char *name);
void distro_unsay(const char *name);
int distro_init_of(const char *name, pid_t *init);
pid_t distro_keeper(const char *name);

/* distro_cgroup.c */
void distro_cgroup_make(const char *name);
int distro_cgroup_open(const char *name, const char *part);
int distro_cgroup_parts(const char *name);
void distro_cgroup_enter(const char *name, const char *part);
void distro_cgroup_delegate(const char *name);
void distro_cgroup_each(const char *name, void (*take)(pid_t pid));
void distro_cgroup_kill(const char *name, const char *part);
void distro_cgroup_end(const char *name);

/* distro_dev.c */
void distro_dev(void);

/* distro_mount.c */
bool distro_mount(const struct distro_place *place, const char *where,
		  unsigned long flags);
bool distro_mount_apart(void);
int distro_mount_open(const char *name, const struct distro_place *place,
		      const char *point, bool write);
bool distro_mount_close(const char *name, const char *point, int root);
bool distro_mount_format(int folder, const char *file, const char *label,
			 uint64_t mib, uint64_t files);

/* distro_switch.c */
int distro_switch_folder(const char *name, bool make);
bool distro_switch_write(int folder, const char *file, const char *text);
bool distro_switch_settle(int folder);
bool distro_switch(int folder, const char *what);

/* distro_root.c */
bool distro_root_enter(const struct distro_place *place, char *why, size_t size);

/* distro_names.c */
void distro_names_read(void);
void distro_names_write(void);

/* distro_init.c */
void distro_init(void) __attribute__((noreturn));

/* distro_start.c */
enum distro_started {
	DISTRO_STARTED,
	DISTRO_BUSY,		/* it runs, or is being started or stopped */
	DISTRO_FAILED,
};
enum distro_started distro_start(const char *name, int wait_seconds, char *why,
				 size_t size);

/* distro_ready.c */
int distro_ready_socket(void);
bool distro_ready_bind(int fd);
bool distro_ready_hear(int fd);
void distro_ready_wait(const char *name, pid_t init, int fd);

/* distro_spare.c */
void distro_spare(void);

/* distro_initctl.c */
bool distro_initctl_halt(pid_t init);

/* distro_keep.c */
void distro_keep(const char *name, int wait_seconds, int said)
	__attribute__((noreturn));

/* What the program's line says. */
struct distro_words {
	const char *word[3];	/* behind the verb; NULL: no more */
	const char *to;		/* "files" or "disk" */
	uint64_t size;		/* MiB of an image; 0: not said */
	bool yes;
};

/* distro_change.c */
int distro_change_failed(const char *name, const char *what);
bool distro_change_begin(const char *name, struct distro_place *place, int *folder);
bool distro_change_config(int folder, int root);
int distro_change_remove(const struct distro_words *words);

/* distro_archive.c */
int distro_archive_import(const struct distro_words *words);
int distro_archive_export(const struct distro_words *words);

/* distro_convert.c */
int distro_convert(const struct distro_words *words);

/* distro_stop.c */
bool distro_stop(const char *name);

#endif
