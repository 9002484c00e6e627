// SPDX-License-Identifier: GPL-3.0-or-later
/* A word in memory in use still has the address, and its owner has nothing any more. */
#include <linux/gfp.h>
#include <linux/kfifo.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sort.h>
#include "third.h"

static DEFINE_KFIFO(jobs, struct desc *, 8);
static struct ring {
	unsigned int head, tail;
	struct desc *slots[16];
} *ring;
static struct pool {
	int count;
	struct desc *slots[16];
} pool;
static struct page *scratch_page;
static struct header {
	u32 magic, version;
	char text[504];
} *header, *other;
static struct bystander *bystander;
static void *ends[4];
static LIST_HEAD(incoming);
static LIST_HEAD(accepted);
static struct req *handoff;
struct magazine {
	int count;
	struct desc *slots[6];
};
static DEFINE_PER_CPU(struct magazine *, magazines);

/* Through a kfifo and out of it: the slots aren't cleared. Lost. */
static void kfifo_out_(struct leak *l, void **objs)
{
	struct desc *out;
	int i;

	for (i = 0; i < l->n; i++)
		kfifo_put(&jobs, (struct desc *)objs[i]);
	for (i = 0; i < l->n; i++)
		if (!kfifo_get(&jobs, &out))
			return;
}

/* A ring whose head has come to its tail. Lost. */
static void ring_stale(struct leak *l, void **objs)
{
	int i;

	WRITE_ONCE(ring, kzalloc(sizeof(*ring), GFP_KERNEL));
	for (i = 0; i < l->n; i++)
		ring->slots[ring->tail++ % 16] = objs[i];
	ring->head = ring->tail;
}

/* An array with a count that went down to 0. Lost. */
static void array_count(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		WRITE_ONCE(pool.slots[pool.count++], objs[i]);
	WRITE_ONCE(pool.count, 0);
}

/* A page had the pointers, was freed, and is allocated again, not cleared. Lost. */
static void dirty_page(struct leak *l, void **objs)
{
	struct page *page;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		preempt_disable();
		page = alloc_page(GFP_ATOMIC);
		memcpy(page_address(page) + 512, objs, l->n * sizeof(*objs));
		__free_page(page);
		WRITE_ONCE(scratch_page, alloc_page(GFP_ATOMIC));
		preempt_enable();
		if (scratch_page == page)
			break;
	}
	memset(page_address(scratch_page), 0x11, 512);
}

/* The same with an object of kmalloc-512. Lost. */
static void dirty_kmalloc(struct leak *l, void **objs)
{
	void **before;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		preempt_disable();
		before = kmalloc(512, GFP_ATOMIC);
		memcpy(before + 20, objs, l->n * sizeof(*objs));
		kfree(before);
		WRITE_ONCE(header, kmalloc(512, GFP_ATOMIC));
		preempt_enable();
		if ((void *)header == before)
			break;
	}
	header->magic = 0x4d414749;
	header->version = 2;
}

/* A parent of kmalloc-512 had the list's head, was freed, and is somebody else's. Lost. */
static void dirty_head(struct leak *l, void **objs)
{
	struct list_head *head;
	int i, tries;

	for (tries = 0; tries < 100; tries++) {
		preempt_disable();
		head = kmalloc(512, GFP_ATOMIC);
		INIT_LIST_HEAD(head + 9);
		for (i = 0; i < l->n; i++)
			list_add_tail(&((struct conn *)objs[i])->list, head + 9);
		kfree(head);
		WRITE_ONCE(other, kmalloc(512, GFP_ATOMIC));
		preempt_enable();
		if ((void *)other == head)
			break;
	}
	for (i = 0; i < l->n; i++)
		enter(objs[i]);
	other->magic = 0x4d414750;
	other->version = 3;
}

struct bystander {
	u64 number;
	struct list_head list;
	unsigned long words[20];
};

/* list_del() of a head leaves a ring; in it is an entry of another type, which is held. */
static void mixed_ring(struct leak *l, void **objs)
{
	LIST_HEAD(head);
	int i;

	for (i = 0; i < l->n; i++) {
		list_add_tail(&((struct conn *)objs[i])->list, &head);
		enter(objs[i]);
	}
	WRITE_ONCE(bystander, kzalloc(sizeof(*bystander), GFP_KERNEL));
	bystander->number = 77;
	list_add_tail(&bystander->list, &head);
	list_del(&head);
}

static int by_address(const void *a, const void *b)
{
	unsigned long x = *(unsigned long *)a, y = *(unsigned long *)b;

	return x < y ? -1 : x > y;
}

/*
 * Somebody has the ends of some objects' buffers: an end is the address of the next object,
 * which is as lost as all of them.
 */
static void end_cursor(struct leak *l, void **objs)
{
	int i, found = 0;

	sort(objs, l->n, sizeof(*objs), by_address, NULL);
	for (i = 0; i + 1 < l->n && found < 4; i++)
		if (objs[i] + sizeof(struct desc) == objs[i + 1])
			WRITE_ONCE(ends[found++], objs[i] + sizeof(struct desc));
}

/* list_splice() without _init: the old head keeps its pointers. Then taken off, not freed. */
static void splice_left(struct leak *l, void **objs)
{
	struct conn *c, *next;
	int i;

	for (i = 0; i < l->n; i++) {
		c = objs[i];
		list_add_tail(&c->list, &incoming);
		enter(c);
	}
	list_splice(&incoming, &accepted);
	list_for_each_entry_safe(c, next, &accepted, list)
		list_del_init(&c->list);
}

static noinline void touch(struct req *r)
{
	struct req *volatile copies[48];
	int i;

	for (i = 0; i < 48; i++)
		copies[i] = r;
	send_off(copies[i / 3]);
}

static noinline void rest(void)
{
	volatile unsigned long room[64] __attribute__((uninitialized));

	room[0] = jiffies;
	idle();
	room[1] = room[0];
}

static int worker(void *unused)
{
	struct req *r = xchg(&handoff, NULL);

	touch(r);
	r = NULL;
	rest();
	return 0;
}

/* A thread had it, and sleeps now in a function whose array isn't filled. Lost. */
static void stale_frame(struct leak *l, void **objs)
{
	handoff = objs[0];
	start(worker, NULL);
}

/* A CPU's magazine with a count: 1: below the count, held; 2: above it, lost. */
static void magazine(struct leak *l, void **objs)
{
	struct magazine *m = kzalloc(sizeof(*m), GFP_KERNEL);
	int i;

	for (i = 0; i < l->n; i++) {
		m->slots[i] = objs[i];
		l->told[i] = i < 2 ? 1 : 2;
	}
	m->count = 2;
	per_cpu(magazines, 1) = m;
}

struct leak stale_leaks[] = {
	{ "kfifo-out", DESC, 4, false, kfifo_out_ },
	{ "ring-stale", DESC, 8, false, ring_stale },
	{ "array-count", DESC, 4, true, array_count, live_array },
	{ "dirty-page", DESC, 4, false, dirty_page },
	{ "dirty-kmalloc", DESC, 4, false, dirty_kmalloc },
	{ "dirty-head", CONN, 3, false, dirty_head },
	{ "mixed-ring", CONN, 4, true, mixed_ring, live_conns },
	{ "end-cursor", DESC, 40, false, end_cursor },
	{ "splice-left", CONN, 4, true, splice_left, live_conns },
	{ "stale-frame", REQ, 1, false, stale_frame },
	{ "magazine", DESC, 6, false, magazine },
	{ }
};
