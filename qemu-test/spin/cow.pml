// SPDX-License-Identifier: MIT
/*
 * A child writes what it shares of its template while others of its vCPUs run:
 * gpm.c's gpm_share(), partition.c's populate_page(), release.c's release_wait(),
 * sched.c's run() and go_away(), and the backends' look at the epoch before an
 * entry. PAGES pages;
 * CPUS vCPUs, each on a CPU with a TLB of its own, which may take a page's entry
 * whenever its guest runs, and use what it has taken. Each may read and write
 * each page.
 *
 * Shown by exhaustive search: nothing is written into the template's page; who
 * reads a page finds what was written last, by whomever; nobody waits for ever.
 *
 * What is a locked instruction there, or under the lock, is one step here; a
 * store that were none could come after the look that follows it, which is what
 * NO_*_FENCE do. Each NO_* macro takes one rule away; the search must then
 * find an error.
 */
#ifndef CPUS
#define CPUS	2
#endif
#ifndef PAGES
#define PAGES	2
#endif
#ifndef TOUCHES
#define TOUCHES	3	/* of each guest, and exits for other reasons */
#endif

#define ABSENT	0
#define SHARED	1
#define COPY	2	/* the child's, not to be written before all know it */
#define OWN	3

byte entry[PAGES];
bit own[PAGES];			/* the child's page holds what was written .. */
bit copied[PAGES];		/* .. or anything at all */
bit written[PAGES];		/* what it must hold; the template's is 0 */
byte epoch = 1;
bit hv_lock;
bit running[CPUS], away[CPUS], ipi[CPUS], waits[CPUS];
byte seen[CPUS];		/* v->gpm_epoch */

typedef tlb_t { byte page[PAGES] }
tlb_t tlb[CPUS];

inline lock()
{
#ifndef NO_LOCK
	atomic { !hv_lock -> hv_lock = 1 }
#else
	skip
#endif
}

inline unlock() { hv_lock = 0 }

#ifdef NO_WAITS
#define PASSED(j)	(!running[j] || seen[j] >= want)
#else
#define PASSED(j)	(!running[j] || waits[j] || seen[j] >= want)
#endif

/* release_wait(): looks until the others have passed, one after the other; who has
 * passed has for good. One interrupt is enough, though it is sent whenever one is
 * found away. Then the copy may be written to. */
inline wait_for_others()
{
#ifndef NO_WAIT
	want = epoch;
	waits[me] = 1;
	j = 0;
	do
	:: j == CPUS -> break
	:: j == me -> j++
	:: j < CPUS && j != me ->
		if
		:: PASSED(j) -> skip
#ifndef NO_INTERRUPT
		:: !PASSED(j) && away[j] ->
			d_step { away[j] = 0; ipi[j] = 1 }
		:: !PASSED(j) && !away[j] -> skip
#else
		:: !PASSED(j) -> skip
#endif
		fi;
		PASSED(j);
		j++
	od;
#ifndef NO_WAITS_FENCE
	waits[me] = 0;
#endif
#endif
	j = 0;
	lock();
	if
	:: entry[copy] == COPY -> entry[copy] = OWN
	:: else
	fi;
	unlock()
}

/* gpm_share(): what is around is shared, too. */
inline share()
{
	d_step {
		if
		:: entry[0] == ABSENT -> entry[0] = SHARED
		:: else
		fi;
		if
		:: entry[PAGES - 1] == ABSENT -> entry[PAGES - 1] = SHARED
		:: else
		fi
	}
}

/* populate_page() of what is shared. */
inline unshare()
{
#ifndef NO_COPY_FIRST
	d_step { own[p] = 0; copied[p] = 1 };
#endif
#ifdef NO_ENTRY_FIRST
	epoch++;
	entry[p] = ABSENT;
#else
	entry[p] = ABSENT;
#ifndef NO_EPOCH
	epoch++;
#endif
#endif
#ifdef NO_COPY_PHASE
	entry[p] = OWN;
#else
	entry[p] = COPY;
#endif
#ifdef NO_COPY_FIRST
	d_step { own[p] = 0; copied[p] = 1 };
#endif
	d_step { others = 1; copy = p }
}

/* partition_populate() */
inline populate()
{
	lock();
	if
	:: entry[p] == ABSENT && write -> share(); unshare()
	:: entry[p] == ABSENT && !write -> share()
	:: entry[p] == SHARED && write -> unshare()
#ifndef NO_SECOND_WAIT
	:: entry[p] == COPY && write -> d_step { others = 1; copy = p }
#else
	:: entry[p] == COPY && write -> entry[p] = OWN
#endif
	:: else
	fi;
	unlock()
}

inline flush()
{
#ifndef NO_FLUSH
	d_step {
		tlb[me].page[0] = ABSENT;
		tlb[me].page[PAGES - 1] = ABSENT
	};
#endif
#ifndef NO_SEEN
	seen[me] = now
#endif
}

/* The guest uses what its TLB has. */
inline use()
{
	if
	:: tlb[me].page[p] == SHARED && write ->
#ifdef NO_READ_ONLY
		assert(false)
#else
		fault = 1
#endif
	:: tlb[me].page[p] == SHARED && !write -> assert(!written[p])
	:: tlb[me].page[p] == COPY && write -> fault = 1
	:: tlb[me].page[p] == COPY && !write ->
		assert(copied[p] && own[p] == written[p])
	:: tlb[me].page[p] == OWN && write ->
		assert(copied[p]); d_step { own[p] = 1; written[p] = 1 }
	:: tlb[me].page[p] == OWN && !write ->
		assert(copied[p] && own[p] == written[p])
	fi
}

proctype cpu(byte me)
{
	byte now, touches, p, want, copy, j;
	bit write, fault, others;

end_idle:				/* not in its run loop */
	if
	:: touches < TOUCHES -> skip
	fi;
#ifdef NO_RUNNING_FENCE
	away[me] = 1;
	now = epoch;
	running[me] = 1;
	goto looked;
#endif
	running[me] = 1;
again:
	away[me] = 1;			/* go_away() */
	now = epoch;
looked:
	if
	:: now != seen[me] -> flush()
	:: else
	fi;
guest:
	fault = 0;
end_guest:
	if
	:: ipi[me] -> ipi[me] = 0
	:: touches < TOUCHES ->
		atomic {
			touches++;
			if
			:: p = 0
			:: p = PAGES - 1
			fi;
			if
			:: write = 0
			:: write = 1
			fi
		};
touch:
		atomic {
			if
			:: tlb[me].page[p] != ABSENT -> use()
			:: tlb[me].page[p] == ABSENT && entry[p] != ABSENT ->
				tlb[me].page[p] = entry[p]; goto touch
			:: tlb[me].page[p] == ABSENT && entry[p] == ABSENT ->
				fault = 1
			fi
		};
		if
		:: !fault -> goto guest
		:: else
		fi
	:: touches < TOUCHES -> touches++	/* any other exit */
	fi;
	away[me] = 0;
	if
	:: fault -> populate()
	:: else
	fi;
	if
	:: others -> others = 0; wait_for_others()
	:: else
	fi;
	if
	:: fault ->			/* the instruction runs again */
		away[me] = 1;
		now = epoch;
#ifdef NO_WAITS_FENCE
		waits[me] = 0;
#endif
		if
		:: now != seen[me] -> flush()
		:: else
		fi;
		fault = 0;
		goto touch
	:: !fault -> goto again
	:: !fault -> running[me] = 0; goto end_idle
	fi
}

init {
	atomic {
		run cpu(0); run cpu(1);
		if
		:: CPUS > 2 -> run cpu(2)
		:: else
		fi
	}
}
