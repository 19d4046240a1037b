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
#include "host-bridge/rt/stage.h"
#include "host-bridge/ui/run_once.h"
#include "host-bridge/ui/system.h"

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

/**
 * Waits for the agent, runs the command, powers off; never returns. Output and
 * status go out in frames for the tool (agent.c), if it is there: the manifest
 * has its mark. On a bare serial line they are text for a person. A Linux that
 * goes down before its agent is ready has been reported, and is not started
 * again.
 */
void run_once(const struct command_env *env)
{
	const char *const request[] = { "exec", env->config->exec, NULL };
	enum agent_mode mode = env->config->mark ? AGENT_FRAMES : AGENT_PLAIN;
	uint32_t status;

	if (!wait_for_agent(env->guest)) {
		system_down(env, false);
	}
	if (agent_run(env->agent, request, mode, &status) != AGENT_EXITED) {
		stage_failed(STAGE_AGENT_READY, "exec: %s",
			     agent_error(env->agent));
	} else if (mode == AGENT_PLAIN) {
		printf("[exit status %u]\n", (unsigned)status);
	}
	system_down(env, false);
}
