/* SPDX-License-Identifier: MIT */
/*
 * A run for one command: the tool on the build machine has asked for it in the
 * manifest, and reads what comes of it from the serial line. What Linux says is
 * passed on and not acted on.
 */
#include <stdio.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/legacy.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/ui/commands_fork.h"
#include "host-bridge/ui/run_once.h"
#include "host-bridge/ui/system.h"

#define NETWORK_MS	10000u

/* Waits for the agent, unless Linux says that something is wrong: then the
 * command does not run. The reason has been reported. */
static bool wait_for_agent(const struct guest *guest)
{
	while (linux_state(guest) == LINUX_RUNNING && !linux_ready(guest) &&
	       !linux_said(guest)[0]) {
		loop_step(LOOP_FOREVER);
	}
	return linux_ready(guest) && !linux_said(guest)[0];
}

/* Until there is an address to go out with, or it takes too long: then the command
 * finds out. */
static void wait_for_network(void)
{
	uint64_t until = loop_now() + loop_ms_to_ticks(NETWORK_MS);
	uint32_t address;

	while (stack_nic() && !stack_address4(&address) && loop_now() < until) {
		loop_step(until);
	}
}

/* A child of the Linux for the command, with what the options say. NULL: there is
 * none; why was printed. */
static const struct command_env *make_child(const struct command_env *env,
					    const char *options)
{
	struct commands_sandbox box;

	if (!commands_sandbox_read(env, &options, &box) ||
	    !commands_fork_freeze(env)) {
		return NULL;
	}
	if (box.net == LINUX_NET_OUT) {
		wait_for_network();
	}
	return commands_fork(env, NULL, &box);
}

/**
 * Waits for the agent, runs the command, powers off; never returns. Output and
 * status go out in frames for the tool (agent.c), if it is there: the manifest
 * has its mark. On a bare serial line they are text for a person. A Linux that
 * goes down before its agent is ready has been reported, and is not started
 * again. The command of a sandbox runs in a child of the Linux, which is gone
 * with it. After the end of another program of ours it is not run a second time.
 */
void run_once(const struct command_env *env)
{
	const char *const request[] = { "exec", env->config->exec, NULL };
	enum agent_mode mode = env->config->mark ? AGENT_FRAMES : AGENT_PLAIN;
	const struct command_env *all = env;
	uint32_t status;

	if (legacy_lives() > 0) {
		stage_failed(STAGE_AGENT_READY, "exec: host-bridge was started "
			     "again, and the command's session with it");
		system_down(env, false);
	}
	if (!wait_for_agent(env->guest)) {
		system_down(env, false);
	}
	if (env->config->sandbox) {
		env = make_child(env, env->config->sandbox);
	}
	if (!env) {
		stage_failed(STAGE_AGENT_READY, "sandbox: there is no child to run "
			     "the command");
		system_down(all, false);
	}
	if (agent_run(env->agent, request, mode, &status) != AGENT_EXITED) {
		stage_failed(STAGE_AGENT_READY, "exec: %s",
			     agent_error(env->agent));
	} else if (mode == AGENT_PLAIN) {
		printf("[exit status %u]\n", (unsigned)status);
	}
	if (env != all) {
		(void)linux_stop(env->guest);
	}
	system_down(all, false);
}
