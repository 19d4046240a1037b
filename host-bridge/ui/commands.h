/* SPDX-License-Identifier: MIT */
/*
 * The console's commands. Each runs at top level; it prints with stdio and
 * ends early when console_interrupted().
 */
#ifndef ISTHMUS_COMMANDS_H
#define ISTHMUS_COMMANDS_H

#include "host-bridge/rt/config.h"
#include "host-bridge/ui/words.h"

struct agent;
struct fuse_server;
struct fuse_service;
struct guest;
struct places;
struct volume;
struct vsock;

/* What the commands work on: the machine, and one Linux: the one that is named,
 * else the first. Volume and vsock are NULL when absent. */
struct command_env {
	const struct command_env *all;	/* one for each Linux */
	unsigned count;
	const struct config *config;
	struct volume *volume;
	struct volume_turns *turns;	/* of one on a disk; or NULL */
	struct guest *guest;
	struct vsock *vsock;	/* the channel to it */
	struct agent *agent;	/* in it */
	const struct places *places;	/* the volume's files, and all Linuxes' */
	struct fuse_server *files;	/* the volume's, for Linux; or NULL */
	struct fuse_service *share;	/* its end of these; or NULL */
	struct nbd_service *disks;	/* its disks; NULL: none */
	struct linux_net *net;	/* its network; NULL: none */
	struct host_commands *host;	/* what it may have of these; NULL */
	struct sockets_linux *sockets;	/* likewise */
};

struct command {
	const char *name;
	const char *args;	/* for the usage line */
	const char *summary;	/* one line for "help" */
	const char *more;	/* further lines for "help NAME", or "" */
	int min_args, max_args;	/* max -1: the rest of the line, raw */
	/* argv[0] is the name; rest is the line behind it, as typed. */
	void (*run)(const struct command_env *env, int argc, char **argv,
		    const char *rest);
	/* Completes the word after the name; NULL: nothing to complete. */
	void (*complete)(const struct command_env *env, struct completion *c);
};

/* commands_vdisk.c; for "disk" too. */
void commands_vdisk_grow(const struct command_env *env, const char *name,
			 const char *text);

/* commands_system.c */
const char *commands_name(uint64_t lo, uint64_t hi);
const char *commands_state(uint64_t state);

void commands_run(const struct command_env *env, char *line);
/* For the command that runs: it has not done what was asked, and has said so. */
void commands_fail(void);
/* Whether the command that has just ended has not. */
bool commands_failed(void);
bool commands_known(const char *name);
/* commands_complete.c: completes a path. */
void commands_complete_path(const struct command_env *env,
			    struct completion *c);
/* Finds what the word that ends at text[len] could become. */
void commands_complete(const struct command_env *env, const char *text,
		       size_t len, struct completion *c);

/* Bytes of a path, with the "linux:" and the NUL; longer ones are refused. */
#define COMMANDS_PATH	1024
/* Names of one directory; Linux could go on for ever. */
#define COMMANDS_NAMES	65536u

/* The groups, each ended by an entry without name. */
extern const struct command commands_system[];	/* commands_system.c */
extern const struct command commands_top[];	/* commands_top.c */
extern const struct command commands_isolation[];	/* commands_isolation.c */
extern const struct command commands_devices[];	/* commands_devices.c */
extern const struct command commands_disk[];	/* commands_disk.c */
extern const struct command commands_net[];	/* commands_net.c */
extern const struct command commands_linux[];	/* commands_linux.c */
extern const struct command commands_vdisk[];	/* commands_vdisk.c */
extern const struct command commands_fsck[];	/* commands_fsck.c */
extern const struct command commands_files[];	/* commands_files.c */

#endif
