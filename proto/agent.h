/* SPDX-License-Identifier: MIT */
/*
 * The agent's control protocol, as host-bridge and the agent in Linux speak it
 * over vsock. One connection a session, all integers little-endian:
 *   host, once:  u32 length, then fields separated by NUL bytes:
 *     "ping" | "exec\0COMMAND" | "watch\0PATH" | "shell\0ROWS\0COLS" |
 *     "shutdown\0poweroff" | "shutdown\0reboot" |
 *     "freeze" | "fork\0NAME\0SEED\0NET" | "mount"
 *   then both ways, frames: u8 type, u32 length, payload.
 * FREEZE prepares for being a template; FORK tells a child who it is, SEED being
 * AGENT_SEED hexadecimal digits that no other child has, NET the word for its
 * network as on a command line, or empty; MOUNT gives it the host's files again.
 * WATCH's output is lines: what happens to PATH, as long as it is there.
 * FLUSH: what the shell's terminal had to show until now is of no more use to who
 * sits before it, as after ctrl-c.
 * The session ends with one frame of type EXIT or ERROR from the agent. A host
 * that closes the connection has gone: its command gets SIGHUP.
 */
#ifndef ISTHMUS_PROTO_AGENT_H
#define ISTHMUS_PROTO_AGENT_H

#include <stdint.h>
#include <string.h>

#define AGENT_PORT		1023u	/* in Linux: control */
#define AGENT_PORT_9P		1022u	/* in Linux: its files, 9P2000.L */
#define AGENT_PORT_READY	1024u	/* the host's: AGENT_READY, both ways */
#define AGENT_READY		"ready\n"
#define AGENT_SEED		64u

enum agent_type {
	AGENT_STDOUT = 1,	/* agent to host */
	AGENT_STDERR = 2,	/* agent to host */
	AGENT_STDIN = 3,	/* host to agent; empty: end of file */
	AGENT_EXIT = 4,		/* u32: exit code, or 128 + signal */
	AGENT_WINDOW = 5,	/* host to agent: u16 rows, u16 columns */
	AGENT_ERROR = 6,	/* text: the request failed before it began */
	AGENT_FLUSH = 7,	/* agent to host, empty: see below */
};

#define AGENT_HEADER	5u	/* u8 type, u32 length */

/* Writes what is in front of a payload. All lengths are valid; whether the other
 * end takes so much is its matter (64 KiB). */
static inline void agent_frame_header(uint8_t header[AGENT_HEADER],
				      enum agent_type type, uint32_t length)
{
	header[0] = (uint8_t)type;
	memcpy(header + 1, &length, sizeof(length));
}

#endif
