/* SPDX-License-Identifier: MIT */
/* Spin locks. They are fair: nobody waits for more than one section of each
 * other CPU. Not recursive. */
#include <hv.h>
#include <x86.h>

/** What the last holder has written is visible to the next. Any CPU. */
void lock_take(struct lock *l)
{
	uint32_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket) {
		cpu_pause();
	}
}

/** For idle work: whoever holds the lock has something better to do with it. */
bool lock_try(struct lock *l)
{
	uint32_t ticket = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE);

	return __atomic_compare_exchange_n(&l->next, &ticket, ticket + 1,
					   false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/** Ends lock_take(), or lock_try(). */
void lock_drop(struct lock *l)
{
	/* the holder's alone to write */
	__atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
}
