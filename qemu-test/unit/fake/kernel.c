// SPDX-License-Identifier: MIT
/*
 * The functions of kernel.h. An assertion that fails is a fault of the driver,
 * or of the test.
 */
#include "kernel.h"

struct fake_kernel fake;
struct virtio_transport *fake_transport;

static struct pci_driver *driver;
static struct pci_dev pdev;

/* ---- Locks ---- */

void fake_lock(spinlock_t *lock)
{
	void (*unlocked)(void) = fake.unlocked;

	if (unlocked && fake.locks + fake.rcu + fake.irq == 0) {
		fake.unlocked = NULL;	/* not within itself */
		unlocked();
		fake.unlocked = unlocked;
	}
	assert(!lock->held);
	lock->held = true;
	fake.locks++;
}

void fake_unlock(spinlock_t *lock)
{
	assert(lock->held);
	lock->held = false;
	fake.locks--;
}

static void may_sleep(void)
{
	assert(fake.locks + fake.rcu + fake.irq == 0);
}

void mutex_lock(struct mutex *mutex)
{
	may_sleep();
	assert(!mutex->held);
	mutex->held = true;
}

void mutex_unlock(struct mutex *mutex)
{
	assert(mutex->held);
	mutex->held = false;
}

void synchronize_rcu(void)
{
	may_sleep();
	fake.grace_periods++;
}

void cond_resched(void)
{
	may_sleep();
}

/* The test's turn. True: somebody woke the sleeper. */
static bool sleep_once(void)
{
	unsigned int wakes = fake.wakes;

	may_sleep();
	assert(fake.sleep);
	fake.sleep();
	return fake.wakes != wakes;
}

/* Nothing else than a wake-up, or a signal, ends this sleep. */
void schedule(void)
{
	for (int i = 0; !sleep_once() && !fake.killed; i++) {
		assert(i < 100);
	}
}

/* The time left, of which each turn takes a second. */
long fake_wait(long left)
{
	while (left > 0 && !sleep_once() && !fake.killed) {
		left -= min(left, HZ);
	}
	return fake.killed ? -ERESTARTSYS : left;
}

/* Is due; again is once. */
bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	assert(wq);
	if (work->pending) {
		return false;
	}
	work->pending = true;
	work->wq = wq;
	for (int i = 0; i < FAKE_WORKS; i++) {
		if (!fake.works[i]) {
			fake.works[i] = work;
			return true;
		}
	}
	abort();
}

void cancel_work_sync(struct work_struct *work)
{
	may_sleep();
	for (int i = 0; i < FAKE_WORKS; i++) {
		if (fake.works[i] == work) {
			fake.works[i] = NULL;
		}
	}
	work->pending = false;
}

/* Lets the work queues run. */
bool fake_run_queues(void)
{
	bool any = false;

	for (int i = 0; i < FAKE_WORKS; i++) {
		struct work_struct *work = fake.works[i];

		if (work && !work->wq->held) {
			any = true;
			fake.works[i] = NULL;
			work->pending = false;
			may_sleep();
			work->func(work);
			may_sleep();
		}
	}
	return any;
}

void schedule_delayed_work(struct delayed_work *work, long delay)
{
	(void)delay;
	if (!work->work.pending) {
		work->work.pending = true;
		for (int i = 0; i < FAKE_DELAYED; i++) {
			if (!fake.delayed[i]) {
				fake.delayed[i] = work;
				return;
			}
		}
		abort();
	}
}

void cancel_delayed_work_sync(struct delayed_work *work)
{
	may_sleep();
	for (int i = 0; i < FAKE_DELAYED; i++) {
		if (fake.delayed[i] == work) {
			fake.delayed[i] = NULL;
		}
	}
	work->work.pending = false;
}

/* Lets the timers of delayed work run out. */
bool fake_run_work(void)
{
	struct delayed_work *due[FAKE_DELAYED];
	bool any = false;

	memcpy(due, fake.delayed, sizeof(due));
	memset(fake.delayed, 0, sizeof(due));
	for (int i = 0; i < FAKE_DELAYED; i++) {
		if (due[i]) {
			any = true;
			due[i]->work.pending = false;
			due[i]->work.func(&due[i]->work);
		}
	}
	return any;
}

/* ---- The device ---- */

int pci_register_driver(struct pci_driver *new)
{
	driver = new;
	return 0;
}

int fake_probe(void)
{
	bool another = fake.device;
	int err = driver->probe(&pdev, &driver->id_table[0]);

	if (err && !another) {
		/* devres */
		memset(fake.handler, 0, sizeof(fake.handler));
		fake.device = false;
	}
	return err;
}

/* What root does by sysfs: after it nothing of the device may be touched. */
void fake_remove(void)
{
	unsigned int grace_periods = fake.grace_periods;

	driver->remove(&pdev);
	/* Who had a look at the device without a lock has gone. */
	assert(fake.grace_periods > grace_periods);
	for (int i = 0; i < FAKE_VECTORS; i++) {
		assert(!fake.handler[i]);
	}
	for (int i = 0; i < FAKE_DELAYED; i++) {
		assert(!fake.delayed[i] || !fake.delayed[i]->of_device);
	}
	fake.device = false;
	fake.thread_due = false;
}

void pci_unregister_driver(struct pci_driver *old)
{
	assert(old == driver);
	if (fake.device) {
		fake_remove();
	}
	driver = NULL;
}

int pcim_enable_device(struct pci_dev *dev)
{
	(void)dev;
	assert(!fake.device);
	fake.device = true;
	fake.interrupts = false;
	return 0;
}

int pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int least,
			  unsigned int most, unsigned int flags)
{
	(void)dev;
	assert(least == FAKE_VECTORS && most == FAKE_VECTORS &&
	       flags == PCI_IRQ_MSIX);
	return FAKE_VECTORS;
}

int devm_request_threaded_irq(struct device *dev, int irq,
			      irq_handler *handler, irq_handler *thread,
			      unsigned long flags, const char *name,
			      void *data)
{
	(void)dev;
	(void)flags;
	(void)name;
	assert(fake.device && !fake.handler[irq - FAKE_IRQ]);
	fake.handler[irq - FAKE_IRQ] = handler;
	fake.handler_data = data;
	if (thread) {
		fake.thread = thread;
	}
	return 0;
}

void devm_free_irq(struct device *dev, int irq, void *data)
{
	(void)dev;
	(void)data;
	may_sleep();
	assert(fake.handler[irq - FAKE_IRQ]);
	/* It waits for the thread. */
	fake_run();
	fake.handler[irq - FAKE_IRQ] = NULL;
}

void irq_wake_thread(int irq, void *data)
{
	(void)data;
	assert(irq == FAKE_IRQ + 1 && fake.handler[1]);
	fake.thread_due = true;
}

/* The host sends an interrupt: it comes if interrupts are on. */
void fake_interrupt(unsigned int vector)
{
	if (fake.device && fake.interrupts && fake.handler[vector]) {
		assert(fake.locks == 0);
		fake.irq++;
		if (fake.handler[vector](FAKE_IRQ + (int)vector,
					 fake.handler_data) ==
		    IRQ_WAKE_THREAD) {
			fake.thread_due = true;
		}
		fake.irq--;
	}
}

/* Lets the interrupt's thread run. */
void fake_run(void)
{
	while (fake.thread_due && fake.handler[1]) {
		fake.thread_due = false;
		fake.thread(FAKE_IRQ + 1, fake.handler_data);
	}
}

void *devm_memremap(struct device *dev, resource_size_t at, size_t size,
		    unsigned long flags)
{
	(void)dev;
	(void)at;
	(void)flags;
	assert(fake.device && size == fake.region_size);
	return fake.region;
}

u32 inl(u32 port)
{
	assert(fake.device && port == FAKE_PORT);
	return fake.end ? fake.end : 1;
}

void outl(u32 value, u32 port)
{
	assert(fake.device);
	switch (port - FAKE_PORT) {
	case 0x08:
		fake.interrupts = value;
		break;
	case 0x0c:
		fake.doorbell();
		break;
	case 0x10:
		fake.state(value);
		break;
	default:
		abort();
	}
}

/* ---- Memory ---- */

void *kzalloc(size_t size, gfp_t gfp)
{
	if (!(gfp & GFP_ATOMIC)) {
		may_sleep();
	}
	return fake.no_memory && !(gfp & __GFP_NOFAIL) ? NULL :
						      calloc(1, size);
}

void xa_store(struct xarray *xa, u64 key, int value, gfp_t gfp)
{
	(void)value;
	(void)gfp;
	may_sleep();
	xa_erase(xa, key);
	assert(xa->count < sizeof(xa->keys) / sizeof(xa->keys[0]));
	xa->keys[xa->count++] = key;
}

bool xa_erase(struct xarray *xa, u64 key)
{
	for (unsigned int i = 0; i < xa->count; i++) {
		if (xa->keys[i] == key) {
			xa->keys[i] = xa->keys[--xa->count];
			return true;
		}
	}
	return false;
}

bool xa_load(const struct xarray *xa, u64 key)
{
	for (unsigned int i = 0; i < xa->count; i++) {
		if (xa->keys[i] == key) {
			return true;
		}
	}
	return false;
}

/* ---- Socket buffers ---- */

/* A packet with room for n bytes, as a socket makes it. */
struct sk_buff *fake_skb(u32 n)
{
	struct sk_buff *skb = calloc(1, sizeof(*skb));

	skb->head = malloc(VIRTIO_VSOCK_SKB_HEADROOM + n);
	skb->data = skb->head + VIRTIO_VSOCK_SKB_HEADROOM;
	skb->users = 1;
	return skb;
}

struct sk_buff *alloc_skb(u32 size, gfp_t gfp)
{
	struct sk_buff *skb;

	may_sleep();
	if (fake.no_memory && !(gfp & __GFP_NOFAIL)) {
		return NULL;
	}
	/* Small packets only are sure to get memory. */
	assert(!(gfp & __GFP_NOFAIL) ||
	       size <= VIRTIO_VSOCK_DEFAULT_RX_BUF_SIZE);
	skb = fake_skb(size - VIRTIO_VSOCK_SKB_HEADROOM);
	skb->data = skb->head;
	fake.skbs++;
	return skb;
}

void kfree_skb(struct sk_buff *skb)
{
	may_sleep();
	if (skb && --skb->users == 0) {
		free(skb->head);
		free(skb);
	}
}

void *skb_put(struct sk_buff *skb, u32 len)
{
	void *at = skb->data + skb->len;

	assert(!skb_is_nonlinear(skb));
	skb->len += len;
	return at;
}

void skb_queue_tail(struct sk_buff_head *list, struct sk_buff *skb)
{
	struct sk_buff **end = &list->first;

	while (*end) {
		end = &(*end)->next;
	}
	*end = skb;
	skb->next = NULL;
	list->qlen++;
}

void skb_queue_head(struct sk_buff_head *list, struct sk_buff *skb)
{
	skb->next = list->first;
	list->first = skb;
	list->qlen++;
}

struct sk_buff *skb_dequeue(struct sk_buff_head *list)
{
	struct sk_buff *skb = list->first;

	if (skb) {
		list->first = skb->next;
		list->qlen--;
	}
	return skb;
}

void skb_queue_purge(struct sk_buff_head *list)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(list)) != NULL) {
		kfree_skb(skb);
	}
}

/* In pieces of an odd size. */
u32 skb_seq_read(u32 done, const u8 **data, struct skb_seq_state *state)
{
	*data = state->skb->data + done;
	return min(state->end - done, 777u);
}

/* ---- vsock ---- */

#define FAKE_HELPER_BODY(name)						\
	void virtio_transport_##name(void)				\
	{								\
		abort();						\
	}
FAKE_HELPERS(FAKE_HELPER_BODY)

int vsock_core_register(const struct vsock_transport *t, int features)
{
	assert(features == VSOCK_TRANSPORT_F_G2H);
	if (fake.transport_registered || fake.foreign_transport) {
		return -EBUSY;
	}
	fake.transport_registered = true;
	fake_transport = container_of(t, struct virtio_transport, transport);
	return 0;
}

/* The transport stays where sockets have it. */
void vsock_core_unregister(const struct vsock_transport *t)
{
	assert(fake.transport_registered && t == &fake_transport->transport);
	fake.transport_registered = false;
}

void vsock_for_each_connected_socket(const struct vsock_transport *t,
				     void (*f)(struct sock *sk))
{
	struct sock sk = { 0 };

	assert(t == &fake_transport->transport);
	fake.resets++;
	fake.locks++;
	f(&sk);
	fake.locks--;
	assert(sk.sk_state == TCP_CLOSE && sk.sk_err == ECONNRESET);
}

int virtio_transport_purge_skbs(void *vsk, struct sk_buff_head *list)
{
	(void)vsk;
	(void)list;
	return 0;
}

void virtio_transport_recv_pkt(struct virtio_transport *t,
			       struct sk_buff *skb)
{
	may_sleep();
	assert(t == fake_transport);
	assert(skb->data == skb->head + VIRTIO_VSOCK_SKB_HEADROOM);
	assert(skb->len == virtio_vsock_hdr(skb)->len);
	assert(!skb->owned);
	skb->owned = true;
	if (fake.receive) {
		fake.receive(skb);
	}
	kfree_skb(skb);
}

void virtio_transport_consume_skb_sent(struct sk_buff *skb, bool consume)
{
	assert(consume);
	fake.sent++;
	kfree_skb(skb);
}

/* report.c has a test of its own, and what reports to it. */
void isthmus_report_register(void);
void isthmus_report_register(void)
{
}

void isthmus_report_unregister(void);
void isthmus_report_unregister(void)
{
}

/* clock.c is not among what is tested here: only a boot has the two clocks. */
void isthmus_clock_set(void);
void isthmus_clock_set(void)
{
}
