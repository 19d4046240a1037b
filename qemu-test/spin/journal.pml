// SPDX-License-Identifier: MIT
/*
 * The order of the journal's writes: fs/jbd2/jbd2_commit.c and jbd2_home.c. One
 * block changes in each of T transactions; the log has room for two. What is written
 * is in the disk's cache (new_*) until a flush, or at once lasting with FUA; what a
 * power cut leaves of the cache is any part. The two write at the same time.
 *
 * Shown by exhaustive search: after a cut at any instant a recovery finds no
 * transaction committed whose block the log does not have; what it brings back is
 * not older than what was told to be lasting, and not newer than what has a commit
 * block.
 *
 * Each NO_* macro takes one rule away; the search must then find an error.
 */
#define T	4
#define ROOM	2

byte log[ROOM], commit[ROOM], home, tail = 1;			/* lasting */
byte new_log[ROOM], new_commit[ROOM], new_home, new_tail;	/* 0: none */
byte told, begun, written;	/* lasting; in memory; with a commit block */
byte room_from = 1;		/* the oldest that the log must keep */

inline keep(lasting, fresh)
{
	if
	:: fresh != 0 -> lasting = fresh; fresh = 0
	:: else
	fi
}

inline flush()
{
	d_step {
		keep(log[0], new_log[0]);
		keep(log[1], new_log[1]);
		keep(commit[0], new_commit[0]);
		keep(commit[1], new_commit[1]);
		keep(home, new_home);
		keep(tail, new_tail)
	}
}

active proctype committing()
{
	byte t;

	for (t : 1 .. T) {
		begun = t;
		(t - room_from < ROOM);
		new_log[t % ROOM] = t;
#ifndef NO_FLUSH
		flush();
#endif
		written = t;
		new_commit[t % ROOM] = t;
#ifndef NO_FUA
		flush();	/* FUA may do less: any cut before is tried */
#endif
		told = t
	}
}

active proctype going_home()
{
	byte t;

	do
	:: told >= room_from ->
#ifdef NO_COMMITTED
		t = begun;
#else
		t = told;
#endif
		new_home = t;
#ifndef NO_HOME_FLUSH
		flush();
#endif
		new_tail = t + 1;
#ifdef NO_TAIL_WAIT
		room_from = t + 1;
#endif
		d_step { keep(tail, new_tail) };		/* FUA */
		room_from = t + 1
	:: told == T -> break
	od
}

/* What is there after a cut: of each, what lasts or what was in the cache. */
inline either(result, lasting, fresh)
{
	if
	:: result = lasting
	:: fresh != 0 -> result = fresh
	fi
}

active proctype cut()
{
	byte l[ROOM], c[ROOM], h, t;

	atomic {
		either(l[0], log[0], new_log[0]);
		either(l[1], log[1], new_log[1]);
		either(c[0], commit[0], new_commit[0]);
		either(c[1], commit[1], new_commit[1]);
		either(h, home, new_home);
		either(t, tail, new_tail);
		do
		:: t <= T && c[t % ROOM] == t ->
			assert(l[t % ROOM] == t);
			h = t;
			t++
		:: else -> break
		od;
		assert(h >= told);
		assert(h <= written)
	}
}
