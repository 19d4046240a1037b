// SPDX-License-Identifier: MIT
/*
 * Memory that a partition gives back while its vCPUs run: core/release.c,
 * core/gpm.c's gpm_revoke(), gpm_restore() and gpm_reclaim(), sched.c's run() and
 * go_away(), and the backends' look at the epoch before an entry. One page; CPUS
 * vCPUs, each on a CPU with a TLB of its own, which may take the page's entry
 * whenever its guest runs, and use what it has taken. Any of them gives the page
 * back; any touches it, and has it again. An exit may hold a pointer to it, looked
 * up under p->lock and used without.
 *
 * Shown by exhaustive search: no TLB and no pointer is used when the page is
 * somebody else's; and when all has come to rest no page is left in quarantine:
 * one interrupt is enough for each vCPU.
 *
 * What is a locked instruction there, or under the lock, is one step here; a
 * store that were none could come after the look that follows it, which is what
 * NO_*_FENCE do. What a guest has written with a weakly ordered store is late: it
 * comes to memory when it likes, at the latest with a locked instruction of that
 * CPU, as is at each entry, or a fence; else it would be in what is somebody
 * else's by then. Each NO_* macro takes one rule away; the search must then find
 * an error.
 */
#define CPUS	2
#define EXITS	3	/* that each guest has by itself */
#define GIVEN	2	/* times that the page is given back */

bit present = 1, reserved;	/* the entry; neither: the page is the pool's */
bit freed;
byte epoch = 1, release_epoch;
bit pending;			/* p->release: something is under way */
byte given, caller;
bit p_lock;
bit running[CPUS], away[CPUS], ipi[CPUS], tlb[CPUS];
bit late[CPUS];			/* a write to it has not come to memory yet */
byte seen[CPUS];		/* v->gpm_epoch */

/* What it has written comes now. */
inline arrives()
{
	assert(!(late[me] && freed));
	late[me] = 0
}

inline lock() { atomic { !p_lock -> p_lock = 1; arrives() } }
inline unlock() { p_lock = 0 }

#ifdef NO_RUN_LOOP		/* out of its guest, it has nothing */
#define PASSED(j)	(!away[j] || seen[j] >= release_epoch)
#else
#define PASSED(j)	(!running[j] || seen[j] >= release_epoch)
#endif

/* sched_interrupt() */
inline interrupt(j)
{
	skip;
#ifndef NO_INTERRUPT
	atomic {
		if
		:: away[j] -> away[j] = 0; ipi[j] = 1
		:: else
		fi
	}
#endif
}

/* all_passed(): each vCPU is looked at once, the caller's is not. */
inline look()
{
	passed = 1;
	j = 0;
	do
	:: j < CPUS && j != me ->
		if
		:: PASSED(j)
		:: else -> passed = 0; interrupt(j)
		fi;
		j++
	:: j < CPUS && j == me -> j++
	:: j == CPUS -> break
	od;
#ifdef NO_WAIT
	passed = 1;
#endif
}

/* give_back() */
inline give_back()
{
	if
	:: passed ->
		if
#ifdef NO_RESTORED
		:: (present || reserved) -> present = 0; reserved = 0; freed = 1
#else
		:: reserved -> reserved = 0; freed = 1
#endif
		:: else
		fi;
		pending = 0
	:: else
	fi
}

/* HC_MEM_RELEASE in an exit of vCPU me. */
inline release()
{
	lock();
	if
	:: !pending && present && given < GIVEN ->
		d_step { given++; pending = 1; caller = me };
#ifndef NO_ENTRY_FIRST
		d_step { present = 0; reserved = 1 };
#endif
#ifdef NO_EPOCH_FENCE
		release_epoch = epoch + 1;
		look();
		epoch++;
#else
		epoch++;
		release_epoch = epoch;
#ifdef NO_ENTRY_FIRST
		d_step { present = 0; reserved = 1 };
#endif
		look();
#endif
		give_back()
	:: pending -> look(); give_back()
	:: else
	fi;
	unlock()
}

inline flush()
{
#ifndef NO_FLUSH
	tlb[me] = 0;
#endif
#ifndef NO_SEEN
	seen[me] = now;
#endif
}

proctype cpu(byte me)
{
	byte now, exits, j;
	bit passed, pointer;

end_idle:				/* not in its run loop */
	if
	:: exits < EXITS -> exits++
	:: late[me] -> arrives(); goto end_idle
	fi;
#ifdef NO_RUNNING_FENCE
	away[me] = 1;
	now = epoch;
	running[me] = 1;
	goto looked;
#endif
	running[me] = 1;
again:
#ifdef NO_AWAY_FIRST
	now = epoch;
#endif
#ifndef NO_ENTRY_LOCKED
	arrives();
#endif
	away[me] = 1;			/* go_away() */
#ifndef NO_AWAY_FIRST
	now = epoch;
#endif
looked:
	if
	:: now != seen[me] -> flush()
	:: else
	fi;
guest:
end_guest:
	if
	:: present && !tlb[me] -> tlb[me] = 1; goto guest
	:: tlb[me] && freed -> assert(false)
	:: tlb[me] && !late[me] -> late[me] = 1; goto guest
	:: late[me] -> arrives(); goto guest
	:: ipi[me] -> ipi[me] = 0
	:: exits < EXITS -> exits++
	/* who has given it back asks again as soon as that is of use */
	:: pending && caller == me && PASSED(1 - me) ->
		away[me] = 0; release(); goto again
	fi;
	away[me] = 0;
	if
	:: given < GIVEN -> release()
	:: true ->			/* partition_memory() */
		lock();
		if
		:: reserved -> d_step { present = 1; reserved = 0 }
		:: else
		fi;
		pointer = present;
		unlock();
		if
		:: pointer -> assert(!freed); pointer = 0
		:: else
		fi
	:: true
	fi;
	if
	:: goto again
	:: true ->
#ifndef NO_STORE_FENCE
		arrives();
#endif
		running[me] = 0; goto end_idle
	fi
}

init {
	atomic { run cpu(0); run cpu(1) };
	timeout;
	/* who has given it back calls again, unless it is idle for ever */
	assert(!pending || !running[caller])
}
