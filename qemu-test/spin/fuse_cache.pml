// SPDX-License-Identifier: MIT
/*
 * One file and its name, cached by Linux without end and changed by Linux and by
 * the host's own commands: host-bridge/files/fuse_coherence.c on the one side,
 * guest/driver/fuse_notify.c and the kernel's fs/fuse on the other. A value is
 * the number of a write; they are in the order in which the writes take effect:
 * a cached one when it is in the page, any other when the server has done it.
 * The file's attributes (size, times) carry the value too. Names have values of
 * their own.
 *
 * Shown by exhaustive search: what begins after a write or a change of the name
 * was acknowledged never sees an older one, whoever changed and whoever looks,
 * by page, by attributes, by name, or on the host; nothing acknowledged is
 * overwritten by something older; nobody waits for ever, with all locks that the
 * kernel holds over a request: the page's, the inode's, the directory's.
 *
 * Harder than the driver: its worker does not wait for the directory's lock, but has
 * the name count as stale until that could be had.
 *
 * WRITES, DIRECTS, READS, STATS, LOOKUPS, UNLINKS: how often Linux does so, one
 * process for each. HOST_WRITES, HOST_READS, HOST_NAMES: the same of the host.
 * TOUCH: a store by mmap, where only waiting is of interest. RESET: the channel
 * is reset at any one moment.
 * Each NO_* macro takes one rule away; the search must then find an error. So it
 * must with BY_FLAG: files open for writing in Linux write through (as FUSE does
 * with FOPEN_DIRECT_IO), instead of the inode's lock.
 */
#ifndef WRITES
#define WRITES		0
#endif
#ifndef DIRECTS
#define DIRECTS		0
#endif
#ifndef READS
#define READS		0
#endif
#ifndef STATS
#define STATS		0
#endif
#ifndef LOOKUPS
#define LOOKUPS		0
#endif
#ifndef UNLINKS
#define UNLINKS		0
#endif

/* Who may have a request out, one each. */
#define READER		0
#define WRITER		1	/* closes: write-back */
#define DIRECTOR	2
#define WORKER		3
#define SEEKER		4
#define UNLINKER	5
#define SLOTS		6
#define LOG		10	/* notifications, in all */

mtype = { NONE, READ, WRITE, CWRITE, LOOKUP, UNLINK, ACK, HELLO,
	  REPLY, LOCK, ATTR, FLUSH, ENTRY };
mtype = { ABSENT, CLEAN, DIRTY };

chan to_host = [9] of { mtype, byte, byte };
chan to_linux = [9] of { mtype, byte, byte };

byte next, next_name;		/* the newest values */
byte acked, acked_name;		/* the newest that somebody was told of */

/* Linux. */
mtype page = ABSENT;
byte version;			/* what the page has */
byte attributes;
byte name;			/* what the dentry has; 0: none */
bit page_lock, inode_lock, dir_lock;
bit direct;			/* only with BY_FLAG */
bit writing;			/* a write-back on its way, from a copy */
mtype out[SLOTS] = NONE;	/* requests without an answer taken */
byte out_value[SLOTS];
bit answered[SLOTS];
byte answer[SLOTS];
chan queue = [LOG] of { mtype, byte };	/* notifications */
byte received, carried;

/* The server. */
byte value, name_value = 1;
byte sent, done;		/* notifications */
mtype sent_log[LOG] = NONE;
byte sent_value[LOG];
bit connected = 1;
bit locked;			/* from LOCK until ATTR is done */

#define MAX(a, b)	((a) > (b) -> (a) : (b))

/* ---- the server ---- */

inline notify(kind, what)
{
	sent_log[sent] = kind;
	sent_value[sent] = what;
	sent++;
	assert(sent < LOG);
	if
	:: connected -> to_linux ! kind, 0, what
	:: else
	fi
}

inline hello(count)
{
	connected = 1;
#ifndef NO_NOTIFY_AGAIN
	for (i : count .. LOG - 1) {
		if
		:: i < sent -> to_linux ! sent_log[i], 0, sent_value[i]
		:: else
		fi
	};
	i = 0
#endif
}

inline serve()
{
	if
	:: kind == READ -> what = value
	:: kind == WRITE -> next++; value = next; what = value
	:: kind == CWRITE ->
#ifdef TOUCH
		value = MAX(value, what)
#else
		assert(what >= value);		/* nothing newer is lost */
		value = what
#endif
	:: kind == LOOKUP -> what = name_value
	:: kind == UNLINK -> next_name++; name_value = next_name + 1;
		what = name_value
	fi;
	if
	:: connected -> to_linux ! REPLY, slot, what
	:: else
	fi
}

active proctype server()
{
	mtype kind;
	byte slot, what, i;

end:	do
	:: atomic {
		to_host ? kind, slot, what ->
		if
		:: kind == ACK -> done = MAX(done, what)
		:: kind == HELLO -> hello(what)
		:: else -> serve()
		fi;
		kind = NONE;
		slot = 0;
		what = 0
	}
	od
}

#ifdef HOST_WRITES
active proctype host_writes()
{
	byte mine, number;

#ifndef NO_LOCK
	atomic {
		!locked -> locked = 1;
#ifdef NO_FLUSH_FIRST
		number = 0
#else
		notify(LOCK, 0);
		number = sent
#endif
	};
	done >= number;
#endif
	atomic {
		next++;
		value = next;
		mine = value;
#ifndef NO_ATTR
		notify(ATTR, value);
#endif
		number = sent
	};
#ifndef NO_WAIT
	done >= number;
#endif
	atomic { locked = 0; acked = MAX(acked, mine) }
}
#endif

#ifdef HOST_READS
active proctype host_reads()
{
	byte floor, number;

	atomic {
		floor = acked;
#ifndef NO_RECALL
		notify(FLUSH, 0);
#endif
		number = sent
	};
	atomic { done >= number; assert(value >= floor) }
}
#endif

#ifdef HOST_NAMES
active proctype host_names()
{
	byte mine, number;

	atomic {
#ifndef NO_ONE_AT_A_TIME
		!locked -> locked = 1;
#endif
		next_name++;
		name_value = next_name + 1;
		mine = name_value;
#ifndef NO_ENTRY
		notify(ENTRY, 0);
#endif
		number = sent
	};
#ifndef NO_WAIT
	done >= number;
#endif
	atomic {
#ifndef NO_ONE_AT_A_TIME
		locked = 0;
#endif
		acked_name = MAX(acked_name, mine)
	}
}
#endif

/* ---- Linux ---- */

inline send(slot, kind, what)
{
	atomic {
		out[slot] = kind;
		out_value[slot] = what;
		to_host ! kind, slot, what
	}
}

inline taken(slot)
{
	out[slot] = NONE;
	answered[slot] = 0;
	answer[slot] = 0;
	out_value[slot] = 0
}

/* The receive path: replies to who waits, notifications to the worker. */
active proctype receive()
{
	mtype kind;
	byte slot, what;

end:	do
	:: atomic {
		to_linux ? kind, slot, what ->
		if
		:: kind == REPLY ->
			answered[slot] = 1;
			answer[slot] = what
		:: else ->
			received++;
			queue ! kind, what
		fi;
		kind = NONE;
		slot = 0;
		what = 0
	}
	od
}

/* Dirty pages out, and wait: by a copy, the page is not locked meanwhile. */
inline write_out(slot)
{
	atomic {
		!writing && !page_lock;
		if
		:: page == DIRTY ->
			page = CLEAN;
			writing = 1;
			send(slot, CWRITE, version)
		:: else
		fi
	};
	if
	:: out[slot] == CWRITE ->
		atomic { answered[slot] -> writing = 0; taken(slot) }
	:: else
	fi
}

/* Drops the page; dirty again by mmap: written first, the page locked. */
inline drop_page()
{
	atomic { !page_lock -> page_lock = 1 };
	if
	:: page == DIRTY ->
		atomic {
			!writing ->
			page = CLEAN;
			writing = 1;
			send(WORKER, CWRITE, version)
		};
		atomic { answered[WORKER] -> writing = 0; taken(WORKER) }
	:: else
	fi;
	atomic { page = ABSENT; version = 0; page_lock = 0 }
}

active proctype worker()
{
	mtype kind;
	byte what;
	bit mine;		/* the inode's lock, over notifications */

end:	do
	:: queue ? kind, what ->
		if
		:: kind == LOCK ->		/* UNLOCK is with ATTR here */
			atomic { !inode_lock -> inode_lock = 1; mine = 1 };
			write_out(WORKER);
#ifdef BY_FLAG
			direct = 1;
#endif
#if defined(NO_KEEP) || defined(BY_FLAG)
			atomic { inode_lock = 0; mine = 0 }
#endif
		:: kind == ATTR ->
			drop_page();
			atomic {
#ifndef NO_ATTRIBUTES
				attributes = what;
#endif
				if
				:: mine -> inode_lock = 0; mine = 0
				:: else
				fi
			}
		:: kind == FLUSH -> write_out(WORKER)
		:: kind == ENTRY ->
#ifdef NO_DIR_LOCK
			name = 0
#else
			atomic { !dir_lock -> name = 0 }
#endif
		fi;
		atomic {
			carried++;
			to_host ! ACK, 0, carried;
			kind = NONE;
			what = 0
		}
	od
}

#if READS
active proctype reader()
{
	byte floor, saw, count = READS;

	do
	:: count == 0 -> break
	:: else ->
		atomic { floor = acked; count-- };
		atomic {
			!page_lock ->
			if
			:: page != ABSENT -> saw = version; goto have
			:: else -> page_lock = 1
			fi
		};
		atomic { !writing -> send(READER, READ, 0) };
		atomic {
			answered[READER] ->
			saw = answer[READER];
			taken(READER);
			version = saw;
			page = CLEAN;
			page_lock = 0
		};
have:		atomic { assert(saw >= floor); saw = 0; floor = 0 }
	od
}
#endif

#if STATS
active proctype stater()
{
	byte count = STATS;

	do
	:: count == 0 -> break
	:: else -> atomic { assert(attributes >= acked); count-- }
	od
}
#endif

/* write() into the cache, and close. */
#if WRITES
active proctype writer()
{
	byte mine, count = WRITES;

	do
	:: count == 0 -> break
	:: else ->
		atomic { !inode_lock -> inode_lock = 1; count-- };
		if
		:: direct ->
			send(WRITER, WRITE, 0);
			atomic {
				answered[WRITER] ->
				mine = answer[WRITER];
				taken(WRITER);
				attributes = mine
			}
		:: else ->
			atomic {
				!page_lock ->
				next++;
				version = next;
				page = DIRTY;
				attributes = next;
				mine = next
			}
		fi;
		atomic {
			inode_lock = 0;
			acked = MAX(acked, mine);
			mine = 0
		};
		if
		:: write_out(WRITER)
		:: skip
		fi
	od;
	write_out(WRITER)
}
#endif

/* O_DIRECT, or truncation: the inode's lock is held over the request. */
#if DIRECTS
active proctype director()
{
	byte mine, count = DIRECTS;

	do
	:: count == 0 -> break
	:: else ->
		atomic { !inode_lock -> inode_lock = 1; count-- };
		write_out(DIRECTOR);
		send(DIRECTOR, WRITE, 0);
		atomic {
			answered[DIRECTOR] ->
			mine = answer[DIRECTOR];
			taken(DIRECTOR);
			attributes = mine
		};
		atomic { !page_lock -> page = ABSENT; version = 0 };
		atomic {
			inode_lock = 0;
			acked = MAX(acked, mine);
			mine = 0
		}
	od
}
#endif

/* A look-up's task hashes the dentry some time after its reply is there. */
#if LOOKUPS
active proctype seeker()
{
	byte floor, saw, count = LOOKUPS;

	do
	:: count == 0 -> break
	:: else ->
		atomic { floor = acked_name; count-- };
		atomic {
			if
			:: name != 0 -> saw = name; goto have
			:: name == 0 && !dir_lock -> dir_lock = 1
			fi
		};
		send(SEEKER, LOOKUP, 0);
		answered[SEEKER];
		atomic {
			saw = answer[SEEKER];
			taken(SEEKER);
			name = saw;
			dir_lock = 0
		};
have:		atomic { assert(saw >= floor); saw = 0; floor = 0 }
	od
}
#endif

/* The directory's lock, then the file's, both over the request. */
#if UNLINKS
active proctype unlinker()
{
	byte mine;

	atomic { !dir_lock -> dir_lock = 1 };
	atomic { !inode_lock -> inode_lock = 1 };
	send(UNLINKER, UNLINK, 0);
	atomic {
		answered[UNLINKER] ->
		mine = answer[UNLINKER];
		taken(UNLINKER);
		name = mine;
		inode_lock = 0;
		dir_lock = 0;
		acked_name = MAX(acked_name, mine)
	}
}
#endif

#ifdef TOUCH
active proctype toucher()
{
	atomic {
		if
		:: page == CLEAN && !page_lock -> page = DIRTY
		:: true
		fi
	}
}
#endif

#ifdef RESET
/* Both directions are lost; then HELLO, and what has no answer again. */
active proctype reset()
{
	byte i;
	mtype kind;

	atomic {
		do
		:: to_host ? kind, _, _
		:: to_linux ? kind, _, _
		:: empty(to_host) && empty(to_linux) -> break
		od;
		kind = NONE;
		connected = 0;
#ifdef NO_COUNT_RECEIVED
		to_host ! HELLO, 0, carried;
#else
		to_host ! HELLO, 0, received;
#endif
#ifndef NO_ACK_AGAIN
		to_host ! ACK, 0, carried;
#endif
		for (i : 0 .. SLOTS - 1) {
			if
			:: out[i] != NONE && !answered[i] ->
				to_host ! out[i], i, out_value[i]
			:: else
			fi
		};
		i = 0
	}
}
#endif
