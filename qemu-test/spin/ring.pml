// SPDX-License-Identifier: MIT
/*
 * One direction of the channel's ring on x86-TSO. Each end has a store buffer:
 * its stores reach memory later, in order, at any moment the drain process
 * chooses; a fence waits until the buffer is empty; a load may run before
 * older stores of its own end are seen. (No end loads a word that it stores,
 * so no store forwarding.) The steps are those of proto/ring.h, function by
 * function.
 *
 * Shown by exhaustive search: every message arrives once, in order and whole
 * (assertions), and no run ends with an end asleep while it has something to
 * do (invalid end states): no doorbell is lost.
 *
 * Indices run free modulo MOD, less than the messages sent, so that they wrap.
 * Each NO_* macro takes one rule away; the search must then find an error.
 */
#ifndef SLOTS
#define SLOTS		2	/* a power of two */
#endif
#define MOD		(2 * SLOTS)
#define MESSAGES	(2 * MOD + 1)

#define PROD		0	/* memory words */
#define CONS		1
#define PROD_EVENT	2
#define CONS_EVENT	3
#define DATA		4

byte mem[DATA + SLOTS];			/* all 0, as ring_init() leaves it */
chan buffer_tx = [3] of { byte, byte };	/* the producer's stores */
chan buffer_rx = [3] of { byte, byte };
bit bell_tx, bell_rx;			/* latched doorbells of each end */

#define SUB(a, b)		(((a) + MOD - (b)) % MOD)
#define PASSED(event, from, to)	(SUB(SUB(to, event), 1) < SUB(to, from))
#define STORE(buffer, word, value) buffer ! word, value
#define FENCE(buffer)		empty(buffer)

inline ring_tx_commit()
{
	if
	:: prod != published ->
		STORE(buffer_tx, PROD, prod);
#ifndef NO_FENCE_TX_COMMIT
		FENCE(buffer_tx);
#endif
		d_step {
			event = mem[PROD_EVENT];
			ring = PASSED(event, published, prod);
			published = prod;
			event = 0
		};
		if
		:: ring -> atomic { bell_rx = 1; ring = 0 }
		:: else
		fi
	:: else
	fi
}

inline ring_tx_arm()
{
	STORE(buffer_tx, CONS_EVENT, (prod + 1 + 2 * MOD - SLOTS - 1) % MOD);
#ifndef NO_FENCE_TX_ARM
	FENCE(buffer_tx);
#endif
#ifdef NO_RECHECK_TX
	skip
#else
	peer_cons = mem[CONS]
#endif
}

active proctype producer()
{
	byte prod, published, peer_cons, event, sequence;
	bit ring;

	do
	:: sequence == MESSAGES -> break
	:: sequence < MESSAGES ->
		/* ring_tx_begin() */
		if
		:: SUB(prod, peer_cons) == SLOTS ->
			peer_cons = mem[CONS]
		:: else
		fi;
		assert(SUB(prod, peer_cons) <= SLOTS);
		if
		:: SUB(prod, peer_cons) < SLOTS ->
			/* ring_tx_put(), ring_tx_end() */
			atomic {
				STORE(buffer_tx, DATA + prod % SLOTS, sequence);
				sequence++;
				prod = (prod + 1) % MOD
			};
			if		/* alone or with the next ones */
			:: ring_tx_commit()
			:: skip
			fi
		:: else ->
			ring_tx_commit();
			ring_tx_arm();
			if
			:: SUB(prod, peer_cons) == SLOTS ->
				atomic { bell_tx == 1 -> bell_tx = 0 }
			:: else
			fi
		fi
	od;
	ring_tx_commit()
}

inline ring_rx_commit()
{
	if
	:: cons != given ->
		STORE(buffer_rx, CONS, cons);
#ifndef NO_FENCE_RX_COMMIT
		FENCE(buffer_rx);
#endif
		d_step {
			event = mem[CONS_EVENT];
			ring = PASSED(event, given, cons);
			given = cons;
			event = 0
		};
		if
		:: ring -> atomic { bell_tx = 1; ring = 0 }
		:: else
		fi
	:: else
	fi
}

inline ring_rx_arm()
{
	STORE(buffer_rx, PROD_EVENT, cons);
#ifndef NO_FENCE_RX_ARM
	FENCE(buffer_rx);
#endif
#ifdef NO_RECHECK_RX
	event = cons
#else
	event = mem[PROD]
#endif
}

active proctype consumer()
{
	byte cons, given, peer_prod, event, expected;
	bit ring;

	do
	:: expected == MESSAGES -> break
	:: expected < MESSAGES ->
		/* ring_rx_next() */
		if
		:: cons == peer_prod -> peer_prod = mem[PROD]
		:: else
		fi;
		assert(SUB(peer_prod, cons) <= SLOTS);
		if
		:: cons != peer_prod ->
			/* ring_rx_copy(), ring_rx_done() */
			d_step {
				assert(mem[DATA + cons % SLOTS] == expected);
				expected++;
				cons = (cons + 1) % MOD
			};
			if
			:: ring_rx_commit()
			:: skip
			fi
		:: else ->
			ring_rx_commit();
			if	/* an end that polls: take the request back */
			:: STORE(buffer_rx, PROD_EVENT, SUB(cons, 1))
			:: ring_rx_arm();
				if
				:: event == cons ->
					atomic { bell_rx == 1 -> bell_rx = 0 }
				:: else
				fi
			fi
		fi
	od;
	ring_rx_commit()
}

/* The store buffers. Idle drains at the end are as they should be. */
active proctype drain_tx()
{
	byte word, value;

end:	do
	:: atomic { buffer_tx ? word, value -> mem[word] = value }
	od
}

active proctype drain_rx()
{
	byte word, value;

end:	do
	:: atomic { buffer_rx ? word, value -> mem[word] = value }
	od
}

