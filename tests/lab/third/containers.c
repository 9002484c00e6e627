// SPDX-License-Identifier: GPL-3.0-or-later
/* Containers that still have these, some with hundreds. */
#include <linux/generic-radix-tree.h>
#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/interval_tree_generic.h>
#include <linux/kfifo.h>
#include <linux/xarray.h>
#include "third.h"

static DEFINE_XARRAY(extents);
static DEFINE_XARRAY(many_extents);
static DEFINE_XARRAY(groups);
static DEFINE_IDR(handles);
static struct rhltable flows, many_flows;
static struct hlist_bl_head locked_table[4];
static struct rb_root_cached ranges = RB_ROOT_CACHED;
static struct rb_root_cached many_ranges = RB_ROOT_CACHED;
static DEFINE_KFIFO(waiting_jobs, struct desc *, 8);
static DEFINE_GENRADIX(slots, struct desc *);
static LIST_HEAD(many_conns);
static DEFINE_HASHTABLE(many_hashed, 5);

#define START(n) ((n)->start)
#define LAST(n) ((n)->last)
INTERVAL_TREE_DEFINE(struct item, rb, unsigned long, subtree, START, LAST, static __maybe_unused, ranges);

/* In an xarray under ranges of indexes, beside entries that are values. */
static void xa_ranges(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
#ifdef CONFIG_XARRAY_MULTI
		xa_store_range(&extents, 64 * i, 64 * i + 31, objs[i], GFP_KERNEL);
#else
		xa_store(&extents, 64 * i, objs[i], GFP_KERNEL);
#endif
		xa_store(&extents, 64 * i + 40, xa_mk_value(i), GFP_KERNEL);
	}
}

static void xa_many(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		xa_store(&many_extents, 7 * i, objs[i], GFP_KERNEL);
		xa_set_mark(&many_extents, 7 * i, XA_MARK_1);
	}
}

/* In an IDR under numbers far apart. */
static void idr_far(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		((struct req *)objs[i])->tag =
			idr_alloc(&handles, objs[i], 100000 * i, 0, GFP_KERNEL);
}

static const struct rhashtable_params flow_params = {
	.key_len = sizeof(u64), .key_offset = offsetof(struct item, key),
	.head_offset = offsetof(struct item, rhl),
};

static void fill_flows(struct leak *l, struct rhltable *table, void **objs, int n)
{
	int i;

	if (rhltable_init(table, &flow_params))
		return;
	for (i = 0; i < n; i++) {
		struct item *node = objs[i];

		node->key = i / 4;
		if (rhltable_insert(table, &node->rhl, flow_params))
			pr_err("not inserted\n");
	}
}

/* In an rhltable: four to a key. */
static void rhl(struct leak *l, void **objs)
{
	fill_flows(l, &flows, objs, l->n);
}

static void rhl_many(struct leak *l, void **objs)
{
	fill_flows(l, &many_flows, objs, l->n);
}

/* In a hash table whose bucket is locked by its lowest bit. */
static void bucket_locked(struct leak *l, void **objs)
{
	int i;

	__set_bit(0, (unsigned long *)&locked_table[2].first);
	for (i = 0; i < l->n; i++)
		hlist_bl_add_head(&((struct item *)objs[i])->bl, &locked_table[2]);
}

static void fill_ranges(struct rb_root_cached *root, void **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct item *node = objs[i];

		node->start = 10 * i;
		node->last = 10 * i + 15;
		ranges_insert(node, root);
	}
}

/* In an interval tree. */
static void interval(struct leak *l, void **objs)
{
	fill_ranges(&ranges, objs, l->n);
}

static void interval_many(struct leak *l, void **objs)
{
	fill_ranges(&many_ranges, objs, l->n);
}

/* Waiting in a kfifo. */
static void kfifo_in_(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		kfifo_put(&waiting_jobs, (struct desc *)objs[i]);
}

/* In a generic radix tree of pages. */
static void genradix(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		*genradix_ptr_alloc(&slots, 40 * i, GFP_KERNEL) = objs[i];
}

static void list_many(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add_tail(&c->list, &many_conns);
		enter(c);
	}
}

static void hash_many(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		enter(c);
		hash_add(many_hashed, &c->hash, c->id);
	}
}

struct group {
	char name[16];
	struct list_head members;
};

/* On the lists of groups in an xarray. */
static void grouped(struct leak *l, void **objs)
{
	struct group *g = NULL;
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		if (i % 10 == 0) {
			g = kzalloc(sizeof(*g), GFP_KERNEL);
			INIT_LIST_HEAD(&g->members);
			xa_store(&groups, i, g, GFP_KERNEL);
		}
		list_add(&c->list, &g->members);
		enter(c);
	}
}

struct leak container_leaks[] = {
	{ "xa-ranges", DESC, 3, false, xa_ranges },
	{ "xa-many", DESC, 500, false, xa_many },
	{ "idr-far", REQ, 40, false, idr_far },
	{ "rhl", NODE, 40, false, rhl },
	{ "rhl-many", NODE, 500, false, rhl_many },
	{ "bucket-locked", NODE, 3, false, bucket_locked },
	{ "interval", NODE, 40, false, interval },
	{ "interval-many", NODE, 500, false, interval_many },
	{ "kfifo-in", DESC, 4, false, kfifo_in_ },
	{ "genradix", DESC, 40, false, genradix },
	{ "list-many", CONN, 500, true, list_many, live_conns },
	{ "hash-many", CONN, 500, false, hash_many },
	{ "grouped", CONN, 40, true, grouped, live_conns },
	{ }
};
