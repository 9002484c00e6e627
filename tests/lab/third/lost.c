// SPDX-License-Identifier: GPL-3.0-or-later
/* Nobody has these any more, and no word in use is left of them. */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/vmalloc.h>
#include "third.h"

static LIST_HEAD(conns);
static struct context {
	struct desc *desc;
	int tries;
} contexts[3];
static struct desc **shrunk;
static struct desc *chain;
static struct hlist_head *new_table;
static void *links[8];

/* Was on the list; removal drops the list's reference. A lookup's own is never put. */
static void put_missing(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add(&c->list, &conns);
		enter(c);
		refcount_inc(&c->refs);
		c->state = CLOSING;
		list_del_init(&c->list);
		refcount_dec(&c->refs);
	}
}

/* The buffer can't be had; the request was never queued, and isn't freed. */
static void error_path(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		((struct req *)objs[i])->buffer = ERR_PTR(-ENOMEM);
}

/* The same before anything of it is set up but its number of operation. */
static void early_error(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		memset(objs[i], 0, sizeof(struct req));
		((struct req *)objs[i])->op = 7;
		((struct req *)objs[i])->buffer = ERR_PTR(-EIO);
	}
}

/* A second try allocates anew over the first. 1: the first tries; 2: held by contexts. */
static void retry_twice(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		WRITE_ONCE(contexts[i % 3].desc, objs[i]);
		WRITE_ONCE(contexts[i % 3].tries, i / 3 + 1);
		l->told[i] = i < 3 ? 1 : 2;
	}
}

/* An array is made shorter without its last elements freed. 1: those; 2: held by shrunk. */
static void realloc_short(struct leak *l, void **objs)
{
	struct desc **longer = kmalloc_array(12, sizeof(*longer), GFP_KERNEL);
	int i;

	memcpy(longer, objs, 12 * sizeof(*longer));
	WRITE_ONCE(shrunk, kmalloc_array(8, sizeof(*shrunk), GFP_KERNEL));
	memcpy(shrunk, longer, 8 * sizeof(*shrunk));
	kfree(longer);
	for (i = 0; i < l->n; i++)
		l->told[i] = i < 8 ? 2 : 1;
}

/* Of a batch of 16, cleared, the first half is freed. Never used. */
static void bulk_half(struct leak *l, void **objs)
{
	void *batch[16];
	int i;

	for (i = 0; i < l->n; i++)
		kmem_cache_free(l->left, objs[i]);
	if (!kmem_cache_alloc_bulk(l->left, GFP_KERNEL | __GFP_ZERO, 16, batch))
		return;
	kmem_cache_free_bulk(l->left, 8, batch);
	memcpy(objs, batch + 8, 8 * sizeof(*objs));
	memzero_explicit(batch, sizeof(batch));
}

/* Parent and children have references to each other: the last put never comes. */
static void kref_cycle(struct leak *l, void **objs)
{
	struct item *root = objs[0];
	int i;

	for (i = 1; i < l->n; i++) {
		struct item *kid = objs[i];

		kid->parent = root;
		list_add_tail(&kid->sibling, &root->kids);
	}
}

static void ref_released(struct percpu_ref *ref)
{
}

/* Killed, and a reference isn't put: ref_released() is never called. */
static void percpu_reference(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct item *n = objs[i];

		if (percpu_ref_init(&n->ref, ref_released, 0, GFP_KERNEL))
			return;
		percpu_ref_get(&n->ref);
		list_add(&n->sibling, &conns);
		list_del_init(&n->sibling);
		percpu_ref_kill(&n->ref);
	}
	synchronize_rcu();
	synchronize_rcu();
}

static void live_references(struct leak *l, void **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct item *node = objs[i];

		if (percpu_ref_init(&node->ref, ref_released, 0, GFP_KERNEL))
			return;
		list_add(&node->sibling, &clients[l->ix]);
	}
}

/* Had a retry pending; it was cancelled. */
static void cancelled(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct req *r = objs[i];

		send_off(r);
		list_add(&r->queue, &conns);
		queue_delayed_work(system_wq, &r->retry, 1000 * HZ);
		cancel_delayed_work_sync(&r->retry);
		list_del_init(&r->queue);
	}
}

/* Taken off, its timer ended, not freed. */
static void timer_ended(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add(&c->list, &conns);
		enter(c);
		mod_timer(&c->timer, jiffies + 1000 * HZ);
	}
	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_del(&c->list);
		timer_delete_sync(&c->timer);
	}
}

/* Its timer was set first, and ended; then it was given up. Never on a list. */
static void timer_only(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		mod_timer(&c->timer, jiffies + 1000 * HZ);
		timer_delete_sync(&c->timer);
	}
}

static void live_timers(struct leak *l, void **objs, int n)
{
	int i;

	live_conns(l, objs, n);
	for (i = 0; i < n; i++)
		mod_timer(&((struct conn *)objs[i])->timer, jiffies + 2000 * HZ);
}

/* Too many gets: the count is saturated, no put frees it. */
static void saturated(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add(&c->list, &conns);
		enter(c);
		refcount_set(&c->refs, (int)REFCOUNT_SATURATED);
		list_del_init(&c->list);
	}
}

/* Cut out of a chain of living ones: its next still leads to one of those. */
static void mid_chain(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct desc *before = kzalloc(sizeof(*before), GFP_KERNEL), *victim = objs[i];

		victim->next = chain;
		before->next = victim;
		WRITE_ONCE(chain, before);
		before->next = victim->next;
	}
}

/* A larger table is filled but for one bucket, the old table freed. Never unlinked. */
static void rehash_left(struct leak *l, void **objs)
{
	struct hlist_head *old = kcalloc(16, sizeof(*old), GFP_KERNEL);
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		hlist_add_head(&c->hash, &old[3]);
		enter(c);
	}
	WRITE_ONCE(new_table, kvcalloc(2048, sizeof(*old), GFP_KERNEL));
	kfree(old);
}

static noinline void evict(struct list_head *lru)
{
	LIST_HEAD(dispose);

	list_splice_init(lru, &dispose);
	barrier();
	/* "Somebody wants us to stop": returns without a word. */
}

/* Moved to a list whose head was on a stack; the function has returned. */
static void evict_abort(struct leak *l, void **objs)
{
	static LIST_HEAD(lru);
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add_tail(&c->list, &lru);
		enter(c);
	}
	evict(&lru);
}

static const struct file_operations no_operations = { .owner = THIS_MODULE };

/* The open file's private data, and nobody has the file: a fput() is missing. */
static void file_lost(struct leak *l, void **objs)
{
	anon_inode_getfile("[third]", &no_operations, objs[0], O_RDWR);
}

/* In the control block of socket buffers that nobody freed. */
static void skb_lost(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);

		memcpy(skb->cb, &objs[i], sizeof(void *));
	}
}

/* Half a word of a pointer is a handle: whoever has the base can still free them. */
static u32 compressed[4];

static void half_words(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		WRITE_ONCE(compressed[i], ((unsigned long)objs[i] - PAGE_OFFSET) >> 3);
}

/* A lockless stack's top: the pointer shifted, a generation in its low bits. Held. */
static void shifted(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		WRITE_ONCE(links[i], (void *)((unsigned long)objs[i] << 16 | 0x17));
}

/* Each has a page of its own, which leads back to it; nobody has either. */
static void own_page(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		void **ring = (void **)get_zeroed_page(GFP_KERNEL);

		((struct desc *)objs[i])->words[0] = (unsigned long)ring;
		ring[4] = objs[i];
		ring[6] = objs[i];
	}
}

/* Two areas of vmalloc()'s each, and a large kmalloc(). */
static void own_areas(struct leak *l, void **objs)
{
	int i, j;

	for (i = 0; i < l->n; i++)
		for (j = 0; j < 3; j++) {
			void **ring = j < 2 ? vzalloc(3 * PAGE_SIZE) : kzalloc(32768, GFP_KERNEL);

			((struct desc *)objs[i])->words[j] = (unsigned long)ring;
			ring[600 + i] = objs[i];
		}
}

/* In the private of a page of its own. */
static void own_private(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		((struct desc *)objs[i])->words[3] = (unsigned long)page;
		SetPagePrivate(page);
		set_page_private(page, (unsigned long)objs[i]);
	}
}

struct counts {
	void *of;
	u64 bytes, packets;
};

/* Each CPU counts for it, and knows for whom. */
static void own_percpu(struct leak *l, void **objs)
{
	int i, cpu;

	for (i = 0; i < l->n; i++) {
		struct counts __percpu *counts = alloc_percpu(struct counts);

		((struct desc *)objs[i])->words[5] = (unsigned long)counts;
		for_each_possible_cpu(cpu)
			per_cpu_ptr(counts, cpu)->of = objs[i];
	}
}

/* One page has all of them, and each has the page. */
static void common_page(struct leak *l, void **objs)
{
	void **ring = (void **)get_zeroed_page(GFP_KERNEL);
	int i;

	for (i = 0; i < l->n; i++) {
		((struct desc *)objs[i])->words[7] = (unsigned long)ring;
		ring[8 + i] = objs[i];
	}
}

struct leak lost_leaks[] = {
	{ "put-missing", CONN, 3, true, put_missing, live_conns },
	{ "error-path", REQ, 5, true, error_path, live_reqs },
	{ "early-error", REQ, 3, true, early_error, live_reqs },
	{ "retry-twice", DESC, 6, false, retry_twice },
	{ "realloc-short", DESC, 12, false, realloc_short },
	{ "bulk-half", DESC, 8, true, bulk_half, live_array },
	{ "kref-cycle", NODE, 7, false, kref_cycle },
	{ "percpu-ref", NODE, 3, true, percpu_reference, live_references },
	{ "cancelled", REQ, 3, true, cancelled, live_reqs },
	{ "timer-ended", CONN, 3, true, timer_ended, live_timers },
	{ "timer-only", CONN, 3, true, timer_only, live_timers },
	{ "saturated", CONN, 1, true, saturated, live_conns },
	{ "mid-chain", DESC, 3, false, mid_chain },
	{ "rehash-left", CONN, 4, false, rehash_left },
	{ "evict-abort", CONN, 5, true, evict_abort, live_conns },
	{ "file-lost", REQ, 1, false, file_lost },
	{ "skb-lost", DESC, 3, false, skb_lost },
	{ "half-words", DESC, 3, false, half_words },
	{ "shifted", DESC, 3, false, shifted },
	{ "own-page", DESC, 3, false, own_page },
	{ "own-areas", DESC, 3, false, own_areas },
	{ "own-private", DESC, 3, false, own_private },
	{ "own-percpu", DESC, 3, false, own_percpu },
	{ "common-page", DESC, 5, false, common_page },
	{ }
};
