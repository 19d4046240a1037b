// SPDX-License-Identifier: MIT
/*
 * How a CPU is called back from a guest or from HLT: core/sched.c's go_away()
 * and sched_interrupt(), core/vcpu.c's vcpu_attention(), vcpu_wake() and
 * complete_halt(). One vCPU on its CPU; SENDERS other CPUs, which raise one
 * vector each. Every access is one step: all of them are locked instructions,
 * or loads, and what a plain store of another order would do is NO_ORDER.
 *
 * Shown by exhaustive search: no run ends with the CPU away and a vector that
 * was not delivered, and no more interrupts are sent than the CPU said that it is
 * away.
 *
 * Each NO_* macro takes one rule away; the search must then find an error.
 */
#define SENDERS		3
#define EXITS		1	/* that the guest has by itself */

#define RUNNABLE	0
#define HALTED		1

bit vector[SENDERS], delivered[SENDERS];	/* IRR */
bit resched, away, running, state;
byte attention;
bit ipi;			/* at the CPU's LAPIC */
byte sent, times_away, exits;

inline collect()
{
	i = 0;
	do
	:: i < SENDERS ->
		if
		:: vector[i] -> d_step { vector[i] = 0; delivered[i] = 1 }
		:: else
		fi;
		i++
	:: i == SENDERS -> break
	od
}

/* vcpu_prepare(): the bits, then what they stand for. */
inline prepare()
{
	if
	:: attention != 0 ->
		attention = 0;
		collect()
	:: else
	fi
}

/* true in `gone` when the CPU may enter or halt. */
inline go_away(reason)
{
#ifndef NO_ORDER
	d_step { away = 1; times_away++ };
#endif
	gone = 1;
#ifndef NO_LOOK
	gone = !resched;
	if
	:: gone -> gone = !(reason)
	:: else
	fi;
#endif
#ifdef NO_ORDER
	d_step { away = 1; times_away++ };
#endif
	if
	:: gone
	:: else -> away = 0
	fi
}

active proctype cpu()
{
	bit gone;
	byte i;

loop:	resched = 0;
	if
	:: state == RUNNABLE -> goto go
	:: else -> goto idle
	fi;

idle:	go_away(0);
	if
	:: !gone -> goto loop
	:: else
	fi;
end_idle:				/* HLT */
	ipi -> ipi = 0;
	resched = 1;			/* irq_handle() */
	goto idle;

go:	running = 1;
again:	prepare();
	go_away(attention != 0);
	if
	:: gone -> goto guest
	:: !gone && resched -> running = 0; goto loop
	:: else -> goto again
	fi;
guest:
end_guest:
	if
	:: ipi -> atomic { ipi = 0; resched = 1 }
	:: exits < EXITS -> exits++
	:: exits < EXITS ->		/* HLT: complete_halt() */
		exits++;
		away = 0;
		state = HALTED;
		if
		:: attention != 0 -> state = RUNNABLE; goto again
		:: else -> running = 0; goto loop
		fi
	fi;
	away = 0;
	if
	:: resched -> running = 0; goto loop
	:: else -> goto again
	fi
}

/* sched_interrupt() */
inline interrupt()
{
	if
	:: away ->
#ifdef NO_TAKE
		ipi = 1; sent++
#else
		atomic {
			if
			:: away -> away = 0; ipi = 1; sent++
			:: else
			fi
		}
#endif
	:: else
	fi
}

proctype sender(byte n, bits)
{
	bit woken;
	byte old;

#ifdef NO_VECTOR_FIRST
	atomic { old = attention; attention = old | bits };
	vector[n] = 1;
#else
	vector[n] = 1;
	atomic { old = attention; attention = old | bits };
#endif
	atomic {			/* vcpu_wake() */
		woken = (state == HALTED);
		if
		:: woken -> state = RUNNABLE
		:: else
		fi
	};
	if
	:: woken -> resched = 1; interrupt()
	:: else
	fi;
	if
	:: (old & bits) == 0 && running -> interrupt()
	:: else
	fi
}

init {
	/* two raise the same bit */
	atomic { run sender(0, 1); run sender(1, 1); run sender(2, 2) };
	timeout;
	assert(delivered[0] && delivered[1] && delivered[2]);
	assert(sent <= times_away)
}
