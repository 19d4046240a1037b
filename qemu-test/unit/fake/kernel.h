/* SPDX-License-Identifier: MIT */
/*
 * As much of Linux as the channel driver asks for, on the build machine: its
 * sources are compiled unchanged, every <linux/...> they include is this file
 * (qemu-test/unit/driver.mk). One thread: what would sleep calls fake.sleep,
 * where the test lets the rest of the world go on. Rules of the kernel that the
 * driver could break are asserted: no sleep and no second lock under a spin
 * lock, every lock dropped, nothing asked of a device that has been removed.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef uint64_t resource_size_t;
typedef unsigned int gfp_t;
typedef long ssize_t;

#define ERESTARTSYS		512
#define UINT_MAX		UINT32_MAX
#define U32_MAX			UINT32_MAX
#define U64_MAX			(~0ull)
#define S32_MIN			INT32_MIN
#define HZ			100
#define GFP_KERNEL		1u
#define GFP_NOFS		1u
#define GFP_ATOMIC		16u
#define __GFP_NOFAIL		2u
#define __GFP_NOWARN		4u
#define __GFP_NORETRY		8u

#define min(a, b)		((a) < (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define clamp(v, a, b)		((v) < (a) ? (a) : (v) > (b) ? (b) : (v))
#define likely(x)		(x)
#define unlikely(x)		(x)
#define struct_size(p, member, n) \
	(offsetof(__typeof__(*(p)), member) + (n) * sizeof((p)->member[0]))
#define pr_err(...)		((void)0)
#define DIV_ROUND_UP(a, b)	(((a) + (b) - 1) / (b))
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define IS_ERR(p)		((uintptr_t)(p) >= (uintptr_t)-4095)
#define PTR_ERR(p)		((int)(intptr_t)(p))
#define ERR_PTR(e)		((void *)(intptr_t)(e))
#define cpu_to_le32(x)		(x)

#define LINUX_VERSION_CODE	KERNEL_VERSION(6, 12, 0)
#define KERNEL_VERSION(a, b, c)	((a) << 16 | (b) << 8 | (c))
#define __init
#define __exit
#define THIS_MODULE		NULL
#define module_init(f)		int fake_module_init(void) { return f(); }
#define module_exit(f)		void fake_module_exit(void) { f(); }
#define MODULE_DESCRIPTION(x)
#define MODULE_LICENSE(x)
#define MODULE_DEVICE_TABLE(a, b)
int fake_module_init(void);
void fake_module_exit(void);

/* ---- The world: what the test sets, and what the driver did ---- */

struct sk_buff;
struct delayed_work;
struct work_struct;
typedef int irqreturn_t;
enum { IRQ_HANDLED = 1, IRQ_WAKE_THREAD = 2 };
typedef irqreturn_t irq_handler(int irq, void *data);

#define FAKE_DELAYED	8
#define FAKE_WORKS	16
#define FAKE_VECTORS	2	/* MSI-X: state, doorbell */
#define FAKE_IRQ	40	/* of vector 0 */
#define FAKE_PORT	0xc000u

struct task_struct {
	unsigned int flags;
};

struct fake_kernel {
	/* Set by the test. */
	struct task_struct task;	/* the one that runs */
	void (*sleep)(void);		/* somebody waits */
	void (*unlocked)(void);		/* a lock is about to be taken */
	void (*doorbell)(void);		/* the driver rings */
	void (*state)(u32 state);	/* and sets its state word */
	void (*receive)(struct sk_buff *skb);	/* a packet for a socket */
	u8 *region;
	size_t region_size;
	bool killed;			/* the current process */
	unsigned int group;		/* its one group */
	bool fsetid, fsetid_here;	/* CAP_FSETID; over a file */
	bool no_memory;			/* allocations that may fail do */
	bool foreign_transport;		/* another driver has vsock */
	u32 end;			/* which one we are; 0: the second */
	/* The machine's state. */
	int locks;			/* spin locks held */
	int rcu;			/* RCU sections */
	int irq;			/* hard interrupts under way */
	bool device;			/* enabled */
	bool interrupts;		/* by INT_CONTROL */
	irq_handler *handler[FAKE_VECTORS], *thread;
	void *handler_data;
	bool thread_due;
	struct delayed_work *delayed[FAKE_DELAYED];	/* scheduled */
	struct work_struct *works[FAKE_WORKS];	/* due */
	unsigned long time;		/* jiffies */
	bool transport_registered;
	unsigned int wakes, grace_periods;
	unsigned int sent;		/* skbs reported as sent */
	unsigned int resets;		/* of all sockets */
	unsigned int skbs;		/* made for packets of the host's */
	char said[120];			/* the log's last line */
};

extern struct fake_kernel fake;
void fake_interrupt(unsigned int vector);
void fake_run(void);
bool fake_run_work(void);
bool fake_run_queues(void);

/* ---- Locks ---- */

typedef struct {
	bool held;
} spinlock_t;

#define DEFINE_SPINLOCK(l)	spinlock_t l

struct mutex {
	bool held;
};

void fake_lock(spinlock_t *lock);
void fake_unlock(spinlock_t *lock);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
void synchronize_rcu(void);
void cond_resched(void);
#define mutex_init(m)		((m)->held = false)
#define spin_lock_init(l)	((l)->held = false)
#define spin_lock(l)		fake_lock(l)
#define spin_unlock(l)		fake_unlock(l)
#define spin_lock_irqsave(l, f)	(fake_lock(l), (f) = 1)
#define spin_unlock_irqrestore(l, f) ((void)(f), fake_unlock(l))
#define rcu_read_lock()		((void)fake.rcu++)
#define rcu_read_unlock()	((void)fake.rcu--)

/* ---- Lists ---- */

struct list_head {
	struct list_head *next, *prev;
};

#define list_empty(head)	((head)->next == (head))
#define list_entry		container_of
#define list_for_each(pos, head)					\
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)
#define list_for_each_entry_safe(pos, n, head, member)			\
	for (pos = list_entry((head)->next, __typeof__(*pos), member),	\
	     n = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head);					\
	     pos = n, n = list_entry(n->member.next, __typeof__(*n), member))

#define list_for_each_entry(pos, head, member)				\
	for (pos = list_entry((head)->next, __typeof__(*pos), member);	\
	     &pos->member != (head);					\
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

#define LIST_HEAD(name)	struct list_head name = { &name, &name }
#define list_empty_careful(head)	list_empty(head)
#define list_first_entry(head, type, member) \
	container_of((head)->next, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_del(item)		list_del_init(item)

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head->prev = head;
}

static inline void list_add_tail(struct list_head *item,
				 struct list_head *head)
{
	item->next = head;
	item->prev = head->prev;
	head->prev->next = item;
	head->prev = item;
}

static inline void list_del_init(struct list_head *item)
{
	item->next->prev = item->prev;
	item->prev->next = item->next;
	INIT_LIST_HEAD(item);
}

static inline void list_move_tail(struct list_head *item,
				  struct list_head *head)
{
	list_del_init(item);
	list_add_tail(item, head);
}

/* All of list, between two neighbours. */
static inline void list_splice_between(struct list_head *list,
				       struct list_head *before,
				       struct list_head *after)
{
	if (!list_empty(list)) {
		before->next = list->next;
		list->next->prev = before;
		after->prev = list->prev;
		list->prev->next = after;
		INIT_LIST_HEAD(list);
	}
}

static inline void list_splice_init(struct list_head *list,
				    struct list_head *head)
{
	list_splice_between(list, head, head->next);
}

static inline void list_splice_tail_init(struct list_head *list,
					 struct list_head *head)
{
	list_splice_between(list, head->prev, head);
}

/* ---- Bits ---- */

#define DECLARE_BITMAP(name, bits) unsigned long name[((bits) + 63) / 64]
#define test_bit(n, p)		((p)[(n) / 64] >> ((n) % 64) & 1)
#define set_bit(n, p)		((void)((p)[(n) / 64] |= 1ul << ((n) % 64)))
#define clear_bit(n, p)		((void)((p)[(n) / 64] &= ~(1ul << ((n) % 64))))
#define __set_bit(n, p)		set_bit(n, p)
#define __clear_bit(n, p)	clear_bit(n, p)
#define smp_mb__after_atomic()	((void)0)

typedef struct {
	long counter;
} atomic64_t;

#define atomic64_inc_return(v)	(++(v)->counter)
#define for_each_set_bit(n, map, size)					\
	for ((n) = 0; (n) < (size); (n)++)				\
		if (test_bit((u32)(n), map))

static inline u32 find_first_zero_bit(const unsigned long *map, u32 size)
{
	u32 n = 0;

	while (n < size && test_bit(n, map)) {
		n++;
	}
	return n;
}

/* ---- Waiting ---- */

typedef struct {
	int sleepers;
} wait_queue_head_t;

enum { TASK_KILLABLE };

void schedule(void);
long fake_wait(long left);
#define init_waitqueue_head(q)		((q)->sleepers = 0)
#define wake_up(q)			((void)(q), (void)fake.wakes++)
#define wake_up_all(q)			wake_up(q)
#define waitqueue_active(q)		((q)->sleepers != 0)
#define wq_has_sleeper(q)		((void)(q), true)
#define DEFINE_WAIT(w)			int w = 0
#define prepare_to_wait(q, w, s)	((void)(q), (void)(w), (void)(s))
#define finish_wait(q, w)		((void)(q), (void)(w))
#define PF_KTHREAD			0x200000u
#define current				(&fake.task)
#define fatal_signal_pending(task)	((void)(task), fake.killed)
/* Asks again until it is true, killed (-ERESTARTSYS) or time is up (0). */
#define wait_event_killable_timeout(wq, condition, timeout) ({		\
	long left_ = (timeout);						\
	bool done_;							\
	(void)(wq);							\
	while (!(done_ = (condition)) && left_ > 0) {			\
		left_ = fake_wait(left_);				\
	}								\
	done_ && left_ == 0 ? 1L : left_;				\
})

/* The same for a process that cannot be killed, and may wait for ever. */
#define wait_event(wq, condition) do {					\
	(void)(wq);							\
	for (int n_ = 0; !(condition); n_++) {				\
		assert(n_ < 100 && fake.sleep);				\
		fake.sleep();						\
	}								\
} while (0)
/* For one that can be. */
#define wait_event_killable(wq, condition) ({				\
	(void)(wq);							\
	for (int n_ = 0; !fake.killed && !(condition); n_++) {		\
		assert(n_ < 100 && fake.sleep);				\
		fake.sleep();						\
	}								\
	(condition) ? 0 : -ERESTARTSYS;					\
})
#define wait_event_timeout(wq, condition, timeout) do {			\
	(void)(wq);							\
	if (!(condition)) {						\
		fake_wait(timeout);					\
	}								\
} while (0)

/* ---- Work ---- */

struct work_struct {
	void (*func)(struct work_struct *work);
	struct workqueue_struct *wq;
	bool pending;
};

struct delayed_work {
	struct work_struct work;
	bool of_device;			/* must end with it */
};

struct workqueue_struct {
	bool held;			/* by the test: nothing of it runs */
};

#define jiffies			(fake.time)
#define time_after(a, b)	((long)((b) - (a)) < 0)
#define time_before(a, b)	time_after(b, a)
#define WQ_MEM_RECLAIM		1
#define WQ_HIGHPRI		2
#define alloc_workqueue(name, flags, most) \
	((struct workqueue_struct *)calloc(1, sizeof(struct workqueue_struct)))
#define destroy_workqueue(wq)	free(wq)
#define INIT_WORK(w, f)		((w)->func = (f))
#define to_delayed_work(w)	container_of(w, struct delayed_work, work)
#define INIT_DELAYED_WORK(w, f)	((w)->work.func = (f), \
				 (w)->work.pending = false, \
				 (w)->of_device = true)
#define DECLARE_DELAYED_WORK(w, f) \
	struct delayed_work w = { .work.func = (f) }
#define delayed_work_pending(w)	((w)->work.pending)
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
void cancel_work_sync(struct work_struct *work);
void schedule_delayed_work(struct delayed_work *work, long delay);
void cancel_delayed_work_sync(struct delayed_work *work);

/* ---- The device ---- */

struct device {
	int unused;
};

struct pci_dev {
	struct device dev;
};

struct pci_device_id {
	u32 vendor, device, class, class_mask;
};

struct pci_driver {
	const char *name;
	const struct pci_device_id *id_table;
	int (*probe)(struct pci_dev *pdev, const struct pci_device_id *id);
	void (*remove)(struct pci_dev *pdev);
};

#define PCI_DEVICE(v, d)	.vendor = (v), .device = (d)
#define IORESOURCE_IO		0x100u
#define PCI_IRQ_MSIX		4u
#define MEMREMAP_WB		1u
#define dev_info(dev, ...) \
	((void)(dev), (void)snprintf(fake.said, sizeof(fake.said), __VA_ARGS__))
#define dev_err(dev, ...)	((void)(dev))
#define dev_err_probe(dev, err, ...) ((void)(dev), (err))

int pci_register_driver(struct pci_driver *driver);
void pci_unregister_driver(struct pci_driver *driver);
int fake_probe(void);
void fake_remove(void);
int pcim_enable_device(struct pci_dev *pdev);
int pci_alloc_irq_vectors(struct pci_dev *pdev, unsigned int least,
			  unsigned int most, unsigned int flags);
int devm_request_threaded_irq(struct device *dev, int irq,
			      irq_handler *handler, irq_handler *thread,
			      unsigned long flags, const char *name,
			      void *data);
void devm_free_irq(struct device *dev, int irq, void *data);
void irq_wake_thread(int irq, void *data);
void *devm_memremap(struct device *dev, resource_size_t at, size_t size,
		    unsigned long flags);
u32 inl(u32 port);
void outl(u32 value, u32 port);
#define pci_set_master(pdev)		((void)(pdev))
#define pci_irq_vector(pdev, n)		((void)(pdev), FAKE_IRQ + (int)(n))
#define pci_resource_flags(pdev, bar)	((bar) == 0 ? IORESOURCE_IO : 0)
#define pci_resource_len(pdev, bar)	((bar) == 0 ? 32 : fake.region_size)
#define pci_resource_start(pdev, bar)	((bar) == 0 ? FAKE_PORT : 0)
#define devm_request_irq(dev, irq, handler, flags, name, data) \
	devm_request_threaded_irq(dev, irq, handler, NULL, flags, name, data)

/* ---- Memory ---- */

void *kzalloc(size_t size, gfp_t gfp);
#define kfree(p)		free(p)

#define kmalloc(size, gfp)	kzalloc(size, gfp)

/* Indexed by number; only whether there is an entry matters. */
struct xarray {
	u64 keys[64];
	unsigned int count;
};

#define xa_mk_value(v)		(v)
#define xa_init(xa)		((xa)->count = 0)
#define xa_empty(xa)		((xa)->count == 0)
#define xa_destroy(xa)		xa_init(xa)
void xa_store(struct xarray *xa, u64 key, int value, gfp_t gfp);
bool xa_erase(struct xarray *xa, u64 key);
bool xa_load(const struct xarray *xa, u64 key);

/* ---- Socket buffers ---- */

#define FAKE_FRAGS		17

struct sk_buff {
	struct sk_buff *next;
	u8 *head, *data;
	u32 len, data_len;		/* data_len: of it in pieces */
	u32 users;
	u8 cb[48];			/* [0]: shown to taps */
	bool reply;
	bool owned;			/* a socket's */
	struct sock *sk;		/* of one that is sent */
	/* kernel_netdev.h */
	struct net_device *dev;
	u16 protocol, gso_size, csum_start, csum_offset;
	u8 ip_summed, gso_type;
	struct skb_frag {
		u8 *bytes;
		u32 size;
	} frags[FAKE_FRAGS];
};
typedef struct skb_frag skb_frag_t;

struct sk_buff_head {
	struct sk_buff *first;
	u32 qlen;
};

struct skb_seq_state {
	struct sk_buff *skb;
	u32 end;
};

struct sk_buff *fake_skb(u32 n);
struct sk_buff *alloc_skb(u32 size, gfp_t gfp);
void kfree_skb(struct sk_buff *skb);
void *skb_put(struct sk_buff *skb, u32 len);
void skb_queue_tail(struct sk_buff_head *list, struct sk_buff *skb);
void skb_queue_head(struct sk_buff_head *list, struct sk_buff *skb);
struct sk_buff *skb_dequeue(struct sk_buff_head *list);
void skb_queue_purge(struct sk_buff_head *list);
u32 skb_seq_read(u32 done, const u8 **data, struct skb_seq_state *state);
static inline struct sk_buff *skb_get(struct sk_buff *skb)
{
	skb->users++;
	return skb;
}
#define skb_shared(skb)			((skb)->users != 1)
#define skb_orphan(skb)			((void)((skb)->owned = false))
#define skb_reserve(skb, n)		((skb)->data += (n))
#define skb_is_nonlinear(skb)		((skb)->data_len != 0)
#define skb_queue_head_init(list)	((void)memset(list, 0, sizeof(*(list))))
#define __skb_queue_head_init(list)	skb_queue_head_init(list)
#define __skb_queue_tail(list, skb)	skb_queue_tail(list, skb)
#define __skb_dequeue(list)		skb_dequeue(list)
#define skb_queue_empty(list)		((list)->qlen == 0)
#define skb_queue_len(list)		((list)->qlen)
#define skb_prepare_seq_read(s, from, to, state) \
	(*(state) = (struct skb_seq_state){ .skb = (s), .end = (to) })

#include "qemu-test/unit/fake/kernel_net.h"

#endif
