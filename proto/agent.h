/* SPDX-License-Identifier: MIT */
/*
 * The agent's control protocol, as host-bridge and the agent in Linux speak it
 * over vsock. One connection a session, all integers little-endian:
 *   host, once:  u32 length, then fields separated by NUL bytes:
 *     "ping" | "exec\0COMMAND" | "watch\0PATH" | "shell\0ROWS\0COLS" |
 *     "shutdown\0poweroff" | "shutdown\0reboot" |
 *     "freeze" | "fork\0NAME\0SEED\0NET" | "mount"
 *   of exec and shell further fields, in any order, each but env once:
 *     "user=NAME", "user=UID" or "user=UID:GID": as whom; root if absent
 *     "dir=PATH": absolute, where; else the user's home
 *     "env=NAME=VALUE": AGENT_ENV_MAX at most
 *     "tty=ROWSxCOLS": of exec, on a terminal of its own
 *     "distro=NAME": in that distribution; "-" is none
 *   then both ways, frames: u8 type, u32 length, payload.
 * FREEZE prepares for being a template; FORK tells a child who it is, SEED being
 * AGENT_SEED hexadecimal digits that no other child has, NET the word for its
 * network as on a command line, or empty; MOUNT gives it the host's files again.
 * SHUTDOWN's EXIT says how many seconds Linux may need to end its distributions,
 * beyond what it needs by itself.
 * WATCH's output is lines: what happens to PATH, as long as it is there.
 * FLUSH: what the shell's terminal had to show until now is of no more use to who
 * sits before it, as after ctrl-c.
 * SIGNAL: for the command's process group; of a terminal, the one before it.
 * TAKEN: so much more of STDIN's bytes is the command's, or nobody's. Who sends no
 * more than AGENT_STDIN_WINDOW beyond that has his other frames heard at once,
 * whatever the command does; what is more waits, and all that is behind it.
 * The session ends with one frame of type EXIT or ERROR from the agent. A host
 * that closes the connection has gone: its command gets SIGHUP.
 */
#ifndef ISTHMUS_PROTO_AGENT_H
#define ISTHMUS_PROTO_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define AGENT_PORT		1023u	/* in Linux: control */
#define AGENT_PORT_9P		1022u	/* in Linux: its files, 9P2000.L */
#define AGENT_PORT_CLOCK	1021u	/* in Linux: who connects says, and waits for,
					 * nothing: the time of day has changed */
#define AGENT_PORT_READY	1024u	/* the host's: AGENT_READY, both ways */
#define AGENT_READY		"ready\n"
#define AGENT_SEED		64u
#define AGENT_ENV_MAX		64u
#define AGENT_STDIN_WINDOW	65536u

enum agent_type {
	AGENT_STDOUT = 1,	/* agent to host */
	AGENT_STDERR = 2,	/* agent to host */
	AGENT_STDIN = 3,	/* host to agent; empty: end of file */
	AGENT_EXIT = 4,		/* u32: exit code, or 128 + signal */
	AGENT_WINDOW = 5,	/* host to agent: u16 rows, u16 columns */
	AGENT_ERROR = 6,	/* text: the request failed before it began */
	AGENT_FLUSH = 7,	/* agent to host, empty: see above */
	AGENT_SIGNAL = 8,	/* host to agent: u8, one of agent_signal_known() */
	AGENT_TAKEN = 9,	/* agent to host: u32 bytes */
};

#define AGENT_HEADER	5u	/* u8 type, u32 length */

/* HUP, INT, QUIT, KILL, USR1, USR2, TERM, CONT, TSTP, by Linux's numbers. */
static inline bool agent_signal_known(uint8_t number)
{
	return number < 32 &&
	       (1u << number & (1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 10 |
				1u << 12 | 1u << 15 | 1u << 18 | 1u << 20));
}

/* Writes what is in front of a payload. All lengths are valid; whether the other
 * end takes so much is its matter (64 KiB). */
static inline void agent_frame_header(uint8_t header[AGENT_HEADER],
				      enum agent_type type, uint32_t length)
{
	header[0] = (uint8_t)type;
	memcpy(header + 1, &length, sizeof(length));
}

#endif
