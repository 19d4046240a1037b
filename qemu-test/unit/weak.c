// SPDX-License-Identifier: MIT
/*
 * All that two threads can do with shared words under a memory that keeps only the
 * order that fences ask for. The code under test is the code, compiled: what
 * gcc -fsanitize=thread puts before each access and at each fence leads here,
 * instead of to ThreadSanitizer.
 *
 * A word has all values that were ever stored to it, in their order, each with a
 * view: what is seen by who has seen it. A thread has a view of its own, what it
 * cannot but see of each word, and a load takes any value that is not older: each
 * is tried. A release fence makes the view that goes with later stores, an acquire
 * fence takes over those of earlier loads, and a full fence both, and one that all
 * full fences share. That is C11's relaxed accesses and fences, but for a load that
 * would see what is stored later because of it; it allows all that x86 does (a load
 * before an older store), and much that x86 does not (stores or loads out of
 * order). [Kang and others, "A Promising Semantics for Relaxed-Memory Concurrency",
 * without promises]
 *
 * Threads change at accesses of shared words. All runs are gone through, depth
 * first: a run is the list of choices it made.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "weak.h"

#define QUIET		__attribute__((no_sanitize_thread))
#define WORDS		256u
#define VALUES		24u
#define CHOICES		512u
#define STACK		65536u

struct view {
	uint8_t at[WORDS];		/* index of the oldest value to be seen */
};

struct thread {
	struct view now, acquired, released;
	ucontext_t context;
	uint32_t *storing;		/* this word is about to be stored to */
	bool rung, asleep, ended;
};

static struct {
	const struct weak_test *test;
	const void *without;
	struct weak_result result;
	struct thread thread[WEAK_THREADS];
	struct thread *running;		/* NULL: nothing is looked at */
	uint32_t value[WORDS][VALUES];
	struct view view[WORDS][VALUES];
	uint8_t values[WORDS];
	struct view fence;		/* what the last full fence knew */
	struct {
		uint8_t taken, of;
	} choice[CHOICES];
	unsigned choices, at, preemptions;
	ucontext_t end;
	jmp_buf stop;
} w;

static uint8_t stacks[WEAK_THREADS][STACK] __attribute__((aligned(16)));

QUIET static void join(struct view *to, const struct view *with)
{
	for (unsigned i = 0; i < WORDS; i++) {
		to->at[i] = to->at[i] > with->at[i] ? to->at[i] : with->at[i];
	}
}

/* One of so many, all of them in turn. */
QUIET static unsigned choose(unsigned of)
{
	if (of < 2) {
		return 0;
	}
	if (w.at == CHOICES) {
		weak_wrong("too many choices in a run");
	}
	if (w.at == w.choices) {
		w.choice[w.choices].taken = 0;
		w.choice[w.choices++].of = (uint8_t)of;
	}
	return w.choice[w.at++].taken;
}

/* The next list of choices; false: that was the last. */
QUIET static bool another_run(void)
{
	while (w.choices) {
		unsigned last = w.choices - 1;

		if (++w.choice[last].taken < w.choice[last].of) {
			return true;
		}
		w.choices = last;
	}
	return false;
}

/* NULL: not a shared word. */
QUIET static uint32_t *shared(const volatile void *at)
{
	size_t in = (size_t)((uintptr_t)at - (uintptr_t)w.test->shared);

	return in < w.test->size ? (uint32_t *)(uintptr_t)at : NULL;
}

QUIET static unsigned index_of(const uint32_t *word)
{
	return (unsigned)(word - (const uint32_t *)w.test->shared);
}

/* What this thread's last store has put there becomes a value of that word. */
QUIET static void stored(struct thread *t)
{
	unsigned i;
	uint8_t n;

	if (!t->storing) {
		return;
	}
	i = index_of(t->storing);
	n = w.values[i];
	if (n == VALUES) {
		weak_wrong("too many stores to a word");
	}
	w.value[i][n] = *t->storing;
	w.view[i][n] = t->released;
	w.view[i][n].at[i] = n;
	t->now.at[i] = n;
	w.values[i]++;
	t->storing = NULL;
}

QUIET static struct thread *other(const struct thread *t)
{
	return &w.thread[t == &w.thread[0]];
}

QUIET static bool can_run(const struct thread *t)
{
	return !t->ended && !(t->asleep && !t->rung);
}

/* The other goes on, if it can. */
QUIET static void change(void)
{
	struct thread *from = w.running;

	w.running = other(from);
	swapcontext(&from->context, &w.running->context);
}

/* Before each access that the other may notice. */
QUIET static void step(void)
{
	struct thread *t = w.running;

	stored(t);
	if (w.preemptions < w.test->preemptions && can_run(other(t)) && choose(2)) {
		w.preemptions++;
		change();
	}
}

/* A value that this thread may find there is put there for it. */
QUIET static void load(uint32_t *word)
{
	struct thread *t = w.running;
	unsigned i = index_of(word);
	/* the newest first: the usual one */
	uint8_t n = (uint8_t)(w.values[i] - 1 - choose(w.values[i] - t->now.at[i]));

	*word = w.value[i][n];
	t->now.at[i] = n;
	join(&t->acquired, &w.view[i][n]);
}

QUIET static void loads(const volatile void *at)
{
	if (w.running && shared(at)) {
		step();
		load(shared(at));
	}
}

QUIET static void stores(const volatile void *at)
{
	if (w.running && shared(at)) {
		step();
		w.running->storing = shared(at);
	}
}

/* See weak.h. The words of one copy are one step: what is not ordered among them
 * shows by their views. */
QUIET void *weak_copy(void *to, const void *from, size_t n)
{
	uint32_t *dst = to;
	const uint32_t *src = from;

	step();
	for (size_t i = 0; i < n / sizeof(*dst); i++) {
		if (shared(&src[i])) {
			load(shared(&src[i]));
		}
		dst[i] = src[i];
		if (shared(&dst[i])) {
			w.running->storing = shared(&dst[i]);
			stored(w.running);
		}
	}
	return to;
}

/* Is this fence to be made? */
QUIET static bool met(const void *site)
{
	struct weak_result *r = &w.result;
	unsigned i = 0;

	while (i < r->sites && r->site[i] != site) {
		i++;
	}
	if (i == r->sites) {
		if (i == WEAK_SITES) {
			weak_wrong("too many sites of fences");
		}
		r->site[r->sites++] = site;
	}
	return site != w.without;
}

QUIET static void fence(int order, const void *site)
{
	struct thread *t = w.running;

	if (!t) {
		return;
	}
	step();
	if (!met(site)) {
		return;
	}
	if (order != __ATOMIC_RELEASE) {
		join(&t->now, &t->acquired);
	}
	if (order == __ATOMIC_SEQ_CST) {
		join(&t->now, &w.fence);
		w.fence = t->now;
	}
	if (order != __ATOMIC_ACQUIRE) {
		t->released = t->now;
	}
}

/* See weak.h. */
QUIET void weak_wrong(const char *what)
{
	w.result.wrong = what;
	longjmp(w.stop, 1);
}

QUIET void weak_sleep(void)
{
	struct thread *t = w.running;

	stored(t);
	t->asleep = true;
	if (!t->rung) {
		if (!can_run(other(t))) {
			weak_wrong("both sleep");
		}
		change();
	}
	t->asleep = t->rung = false;
}

QUIET void weak_ring(void)
{
	stored(w.running);
	other(w.running)->rung = true;
}

QUIET static void begin(void)
{
	struct thread *t = w.running;

	w.test->thread[t == &w.thread[1]]();
	stored(t);
	t->ended = true;
	if (other(t)->ended) {
		setcontext(&w.end);
	}
	if (!can_run(other(t))) {
		weak_wrong("one has ended, and the other sleeps");
	}
	change();
}

QUIET static void run(void)
{
	const uint32_t *words = w.test->shared;

	memset(w.thread, 0, sizeof(w.thread));
	memset(&w.fence, 0, sizeof(w.fence));
	w.at = w.preemptions = 0;
	w.running = NULL;
	w.test->set_up();
	for (unsigned i = 0; i < w.test->size / sizeof(*words); i++) {
		w.values[i] = 1;
		w.value[i][0] = words[i];
		memset(&w.view[i][0], 0, sizeof(w.view[i][0]));
	}
	for (unsigned i = 0; i < WEAK_THREADS; i++) {
		getcontext(&w.thread[i].context);
		w.thread[i].context.uc_stack.ss_sp = stacks[i];
		w.thread[i].context.uc_stack.ss_size = STACK;
		makecontext(&w.thread[i].context, begin, 0);
	}
	w.running = &w.thread[choose(WEAK_THREADS)];
	swapcontext(&w.end, &w.running->context);
	w.running = NULL;
}

/* See weak.h. */
QUIET struct weak_result weak_explore(const struct weak_test *t,
				      const void *without)
{
	memset(&w.result, 0, sizeof(w.result));
	w.test = t;
	w.without = without;
	w.choices = 0;
	if (setjmp(w.stop)) {
		w.running = NULL;
		return w.result;
	}
	if (t->size > WORDS * sizeof(uint32_t)) {
		weak_wrong("too many words");
	}
	do {
		if (++w.result.runs > t->runs_max) {
			weak_wrong("too many runs");
		}
		run();
	} while (another_run());
	return w.result;
}

/* --- what the compiler calls -------------------------------------------- */

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void *pc);
void __tsan_read1(void *at);
void __tsan_read2(void *at);
void __tsan_read4(void *at);
void __tsan_read8(void *at);
void __tsan_read16(void *at);
void __tsan_write1(void *at);
void __tsan_write2(void *at);
void __tsan_write4(void *at);
void __tsan_write8(void *at);
void __tsan_write16(void *at);
void __tsan_read_range(void *at, long size);
void __tsan_write_range(void *at, long size);
void __tsan_atomic_thread_fence(int order);

QUIET void __tsan_init(void)
{
}

QUIET void __tsan_func_entry(void *pc)
{
	(void)pc;
}

QUIET void __tsan_func_exit(void *pc)
{
	(void)pc;
}

QUIET void __tsan_read4(void *at)
{
	loads(at);
}

QUIET void __tsan_write4(void *at)
{
	stores(at);
}

/* Of another size than a word nothing shared is read or written. */
QUIET static void private(const void *at)
{
	if (w.running && shared(at)) {
		weak_wrong("not a word of 32 bits");
	}
}

#define PRIVATE(name)				\
	QUIET void name(void *at)		\
	{					\
		private(at);			\
	}
PRIVATE(__tsan_read1)
PRIVATE(__tsan_read2)
PRIVATE(__tsan_read8)
PRIVATE(__tsan_read16)
PRIVATE(__tsan_write1)
PRIVATE(__tsan_write2)
PRIVATE(__tsan_write8)
PRIVATE(__tsan_write16)

QUIET void __tsan_read_range(void *at, long size)
{
	(void)size;
	private(at);
}

QUIET void __tsan_write_range(void *at, long size)
{
	(void)size;
	private(at);
}

QUIET void __tsan_atomic_thread_fence(int order)
{
	fence(order, __builtin_return_address(0));
}
