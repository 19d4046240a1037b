/* SPDX-License-Identifier: MIT */
/*
 * Templates and their children, at the console. A Linux is asked to let go of what
 * its children must not share, and frozen; a child is told who it is before anybody
 * else gets to it. What its agent answers is shown, never acted on but by going on
 * or not. All wait by running the event loop.
 */
#include <stdio.h>

#include "proto/agent.h"
#include "host-bridge/agent/agent.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/seed.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/commands_fork.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/vsock/vsock_endpoint.h"

static const char *title(const struct command_env *env)
{
	return env->guest->want->title;
}

/* Has the agent do something; false: it did not, which was printed. */
static bool tell(const struct command_env *env, const char *const *request)
{
	uint32_t status = 0;

	switch (agent_run(env->agent, request, AGENT_PLAIN, &status)) {
	case AGENT_EXITED:
		return status == 0;
	case AGENT_DETACHED:
		printf("^C\n");
		return false;
	default:
		printf("%s: %s: %s\n", title(env), request[0],
		       agent_error(env->agent));
		return false;
	}
}

/** See commands_fork.h. */
bool commands_fork_freeze(const struct command_env *env)
{
	static const char *const freeze[] = { "freeze", NULL };
	static const char *const mount[] = { "mount", NULL };
	const char *why;

	if (!tell(env, freeze)) {
		return false;
	}
	why = linux_freeze(env->guest);
	if (!why) {
		printf("%s is a template now\n", title(env));
		return true;
	}
	printf("%s %s\n", title(env), why);
	if (env->files && linux_state(env->guest) == LINUX_RUNNING) {
		(void)tell(env, mount);
	}
	return false;
}

static bool channel_up(const struct command_env *env)
{
	struct vsock_status status = { 0 };

	if (env->vsock) {
		vsock_get_status(env->vsock, &status);
	}
	return status.up;
}

/* Tells a child's agent who it is. No other child has its seed: that of the hash
 * tables here is not secret, but new each time. */
static bool introduce(const struct command_env *env, bool mounts)
{
	static const char *const mount[] = { "mount", NULL };
	char seed[AGENT_SEED + 1];
	const char *const who[] = { "fork", env->guest->want->name, seed,
				    env->net ? linux_net_words(env->net) : "",
				    NULL };

	while (linux_state(env->guest) == LINUX_RUNNING && !channel_up(env)) {
		if (console_interrupted()) {
			printf("^C\n");
			return false;
		}
		loop_step(LOOP_FOREVER);
	}
	for (unsigned i = 0; i < AGENT_SEED; i += 16) {
		snprintf(seed + i, 17, "%016llx",
			 (unsigned long long)seed_make());
	}
	return tell(env, who) && (!mounts || !env->files || tell(env, mount));
}

/* The channel of the life before may not have been seen to end yet.
 * What it is to have of the host's files, and of the network, is known before it
 * can ask for them, and forgotten when it ends. */
static const char *start_one(const struct command_env *of,
			     const struct command_env *child,
			     const struct commands_sandbox *box)
{
	const char *why;

	while (linux_state(child->guest) != LINUX_RUNNING &&
	       channel_up(child)) {
		loop_step(0);
	}
	if (box) {
		fuse_service_give(child->share, box->root, true);
		linux_net_reach(child->net, box->net);
		host_commands_reach(child->host, false);
		sockets_reach(child->sockets, false);
	}
	why = linux_fork(of->guest, child->guest);
	if (why && box) {
		fuse_service_give(child->share, VOLUME_ROOT, false);
		linux_net_reach(child->net, LINUX_NET_ALL);
		host_commands_reach(child->host, true);
		sockets_reach(child->sockets, true);
	}
	return why;
}

/* The first that is down and waits to be started by hand, and can be a child of
 * the template. NULL: there is none; what is with the last of these was printed. */
static const struct command_env *start_any(const struct command_env *of,
					   const struct commands_sandbox *box)
{
	const char *name = "no Linux that is on-demand in the manifest";
	const char *why = "is down, to become a child";

	for (unsigned i = 0; i < of->count; i++) {
		struct guest *guest = of->all[i].guest;

		if (!guest->want->on_demand ||
		    linux_state(guest) == LINUX_RUNNING ||
		    linux_state(guest) == LINUX_FROZEN) {
			continue;
		}
		why = start_one(of, &of->all[i], box);
		if (!why) {
			return &of->all[i];
		}
		name = title(&of->all[i]);
	}
	printf("%s %s\n", name, why);
	return NULL;
}

/** See commands_fork.h. A child that cannot be told who it is ends. */
const struct command_env *commands_fork(const struct command_env *of,
					const struct command_env *child,
					const struct commands_sandbox *box)
{
	const char *why;

	if (linux_state(of->guest) != LINUX_FROZEN) {
		printf("%s is no template; \"linux freeze\" makes it one\n",
		       title(of));
		return NULL;
	}
	if (child) {
		why = start_one(of, child, box);
		if (why) {
			printf("%s %s\n", title(child), why);
			return NULL;
		}
	} else {
		child = start_any(of, box);
		if (!child) {
			return NULL;
		}
	}
	if (child->agent && !introduce(child, !box || box->root != 0)) {
		(void)linux_stop(child->guest);
		return NULL;
	}
	linux_set_ready(child->guest);
	return child;
}
