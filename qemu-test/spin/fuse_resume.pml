// SPDX-License-Identifier: MIT
/*
 * A mount's requests over resets of the channel: guest/driver/fuse_resume.c and
 * host-bridge/files/fuse_session.c. What Linux sends are requests, each of which
 * changes something, and messages without a reply (FORGET, of which two in a row
 * may be one message, each time that they are sent); they are numbered in the order
 * in which Linux sent them first. The host may put a request off (a
 * lock that somebody has) and carry it out later. At most OUT requests are
 * without an answer, and the host keeps the last OUT answers.
 *
 * Shown by exhaustive search: each message is carried out exactly once; those
 * that are not put off in the order in which they were sent, FORGETs in theirs;
 * everybody gets an answer.
 *
 * Each NO_* macro takes one rule away; the search must then find an error.
 */
#ifndef RESETS
#define RESETS		2
#endif
#ifndef OUT
#define OUT		2
#endif
#ifndef RING
#define RING		OUT
#endif
#ifdef NO_WINDOW
#define WINDOW		MESSAGES
#else
#define WINDOW		OUT
#endif
#define MESSAGES	7
/* Numbers 0 and 3 may be put off; 1, 2 and 4 are FORGETs. */
#define IS_FORGET(n)	((n) == 1 || (n) == 2 || (n) == 4)
#define MAY_WAIT(n)	((n) == 0 || (n) == 3)
#define FORGETS(n)	(((n) > 1) + ((n) > 2) + ((n) > 4))	/* before n */

#ifdef NO_OLD_FIRST
#define MAY_SEND	1
#else
#define MAY_SEND	connected
#endif

mtype = { MESSAGE, BATCH, HELLO, REPLY };	/* BATCH: that and the next */
mtype = { UNSENT, SENT, ANSWERED };

chan to_host = [8] of { mtype, byte };
chan to_linux = [8] of { mtype, byte };

/* The host. */
byte times[MESSAGES];		/* that it was carried out */
bit put_off[MESSAGES];
byte ring[RING] = MESSAGES;	/* numbers that were answered, newest first */
byte forgets;
byte last, last_forget;		/* number + 1, carried out last */
bit late[MESSAGES];		/* answers not sent yet */

/* Linux. */
mtype state[MESSAGES] = UNSENT;
byte outstanding, sent;
bit connected = 1;		/* HELLO was answered */
byte resets;

inline keep(n)
{
	for (i : 1 .. RING - 1) {
		ring[RING - i] = ring[RING - i - 1]
	};
	ring[0] = n;
	i = 0
}

/* An answer given again is the newest: others may be evicted before it. */
inline find(n)
{
	found = 0;
	for (i : 0 .. RING - 1) {
		if
		:: ring[i] == n ->
			found = 1;
#ifndef NO_REFRESH
			for (j : 1 .. i) {
				ring[i + 1 - j] = ring[i - j]
			};
			ring[0] = n;
			j = 0;
#endif
			break
		:: else
		fi
	};
	i = 0
}

inline answer(n)
{
#ifdef NO_REPLY_AT_ONCE
	late[n] = 1
#else
	to_linux ! REPLY, n
#endif
}

inline forget(n)
{
	times[n]++;
	assert(times[n] == 1 && n + 1 > last_forget);
	last_forget = n + 1
}

inline carry_out(n)
{
	times[n]++;
	assert(times[n] == 1);
	keep(n);
	answer(n)
}

active proctype host()
{
	mtype kind;
	byte n, i, j;
	bit found;

end:	do
	:: atomic {
		to_host ? kind, n ->
		if
		:: kind == HELLO ->
#ifndef NO_DROP
			for (i : 0 .. MESSAGES - 1) {
				put_off[i] = 0
			};
			i = 0;
#endif
			to_linux ! HELLO, forgets
		:: kind == MESSAGE && IS_FORGET(n) ->
			forget(n);
			forgets++
		:: kind == BATCH ->
			forget(n);
			forget(n + 1);
#ifdef NO_EACH_COUNTED
			forgets++
#else
			forgets = forgets + 2
#endif
		:: else ->
#ifndef NO_RING
			find(n);
#endif
			if
			:: found -> answer(n); found = 0
			:: !found && MAY_WAIT(n) -> put_off[n] = 1
			:: !found ->
				if
				:: !MAY_WAIT(n) ->
					assert(n + 1 > last);
					last = n + 1
				:: else
				fi;
				carry_out(n)
			fi
		fi;
		kind = 0;
		n = 0
	}
	:: atomic { put_off[0] -> put_off[0] = 0; carry_out(0) }
	:: atomic { put_off[3] -> put_off[3] = 0; carry_out(3) }
#ifdef NO_REPLY_AT_ONCE
	:: atomic { late[6] -> late[6] = 0; to_linux ! REPLY, 6 }
	:: atomic { late[0] -> late[0] = 0; to_linux ! REPLY, 0 }
	:: atomic { late[3] -> late[3] = 0; to_linux ! REPLY, 3 }
	:: atomic { late[5] -> late[5] = 0; to_linux ! REPLY, 5 }
#endif
	od
}

/* What has no answer, and FORGETs that the host has not had, in order. */
inline resume(count)
{
	connected = 1;
	for (i : 0 .. MESSAGES - 1) {
#ifdef NO_ORDER
		k = MESSAGES - 1 - i;
#else
		k = i;
#endif
		if
		:: state[k] == SENT && !IS_FORGET(k) -> to_host ! MESSAGE, k
#ifndef NO_FORGET_AGAIN
#ifdef NO_FORGET_COUNT
		:: state[k] == SENT && IS_FORGET(k) -> to_host ! MESSAGE, k
#else
		:: state[k] == SENT && IS_FORGET(k) && FORGETS(k) >= count &&
		   !(k == 2 && batch) -> to_host ! MESSAGE, k
		:: k == 1 && state[1] == SENT && state[2] == SENT &&
		   count == 0 -> to_host ! BATCH, 1; batch = 1
#endif
#endif
		:: else
		fi
	};
	i = 0;
	k = 0;
	batch = 0
}

active proctype driver()
{
	mtype kind;
	byte n, i, k;
	bit batch;

	do
	:: atomic {
		to_linux ? kind, n ->
		if
		:: kind == HELLO -> resume(n)
		:: kind == REPLY ->
			assert(state[n] == SENT);	/* one answer */
			state[n] = ANSWERED;
			outstanding--
		fi;
		kind = 0;
		n = 0
	}
	:: atomic {
		sent < MESSAGES && MAY_SEND &&
		(IS_FORGET(sent) || outstanding < WINDOW) ->
		state[sent] = SENT;
		outstanding = outstanding + !IS_FORGET(sent);
		to_host ! MESSAGE, sent;
		sent++
	}
	:: atomic { sent == 1 && MAY_SEND ->
		state[1] = SENT;
		state[2] = SENT;
		to_host ! BATCH, 1;
		sent = 3
	}
	:: atomic { resets < RESETS ->		/* both directions are lost */
		resets++;
		do
		:: to_host ? kind, _
		:: to_linux ? kind, _
		:: empty(to_host) && empty(to_linux) -> break
		od;
		kind = 0;
		connected = 0;
		to_host ! HELLO, 0
	}
	:: sent == MESSAGES && outstanding == 0 && connected &&
	   empty(to_host) -> break
	od;
	timeout;
	for (i : 0 .. MESSAGES - 1) {
		assert(times[i] == 1)
	}
}
