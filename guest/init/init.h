/* SPDX-License-Identifier: MIT */
/*
 * What the files of guest/init share: the log (init_log.c), the command line
 * (cmdline.c), files of a child's own (own.c), PID 1 (boot.c, net*.c, root.c,
 * processes.c, init.c), distributions (distro*.c, distro.h), the agent it starts
 * (agent*.c), and what the agent starts: what gives up page cache (cache*.c), what
 * tells the host of ports (ports*.c), sockets of other Linuxes (sockets*.c). One
 * static program, no threads; called as `isthmus` it has commands of the host's run,
 * for people (host.c). Calls go one way: init.c knows the others, none knows it.
 */
#ifndef GUEST_INIT_H
#define GUEST_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Signals PID 1 obeys, as busybox's poweroff, halt and reboot send them. */
#define INIT_SIG_POWEROFF	SIGUSR2
#define INIT_SIG_HALT		SIGUSR1
#define INIT_SIG_REBOOT		SIGTERM

/* Where things are in the initramfs. */
#define INIT_MODULE_LIST	"/etc/isthmus/modules"
#define INIT_HOSTNAME_FILE	"/etc/hostname"
#define INIT_HOST_DIR		"/mnt/host"
#define INIT_COMMAND_FILE	"/.isthmus-exec"
#define INIT_RUN_DIR		"/run/isthmus"	/* of ours, in every root */
#define INIT_RUN_COMMAND	INIT_RUN_DIR "/exec"

void boot_mount_all(void);
void boot_tune(void);
void boot_load_modules(const char *list);
void boot_hostname(void);
void boot_loopback_up(void);
bool boot_mount_host(void);
void boot_unmount_all(void);

bool root_wanted(void);
bool root_disk(const char *name, char device[32]);
bool root_enter(void);
void root_init(void);

void net_start(void);
void net_names(void);
bool net_parse(char *words);
void net_again(const char *word);

int own_file(const char *path, const char *text);

void processes_hang_up(pid_t pid);
void processes_end(pid_t shell, unsigned patience_ms, bool entered);

void init_log(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

void cmdline_words(char *line, size_t size, void (*take)(const char *word));
const char *cmdline_after(const char *word, const char *start);

pid_t cache_start(void);

pid_t ports_start(void);

pid_t sockets_start_agent(void);

/* A distribution: distro.h. */
#define DISTRO_NAME_MAX	31u
#define DISTRO_USER_MAX	32u	/* [useradd(8)] */

/* What distro_enter() says. */
struct distro_entry {
	char user[DISTRO_USER_MAX + 1];	/* who commands run as by default */
	int parts;	/* of its control group, for distro_cgroup_user() */
	char why[160];			/* it failed: for the user */
};

int distro_main(int argc, char **argv);
bool distro_default(char name[DISTRO_NAME_MAX + 1],
		    char user[DISTRO_USER_MAX + 1]);
bool distro_enter(const char *name, struct distro_entry *entry);
int distro_cgroup_user(int parts, uint32_t uid);
void distro_boot(void);
void distro_names_all(void);
unsigned distro_seconds(void);
void distro_stop_all(void);

int agent_run(void);

int host_run(int argc, char **argv);

#endif
