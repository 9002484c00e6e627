// SPDX-License-Identifier: GPL-3.0-or-later
/* kmalloc'ed objects, lost and held; and the sets of 10^5 of them. */
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "plant.h"

struct crumb {
	char magic[4];		/* "BMRC" */
	u32 id;
	const void *ops;
	struct crumb *left, *right;
	u64 fill[4];
};

static const struct slabplant_ops {
	const char *what;
} slabplant_ops = { .what = "crumbs" };

struct crumb *slabplant_crumbs[PLOTS_A_KIND];
unsigned long *slabplant_tagged[PLOTS_A_KIND];

static void fill_crumb(struct crumb *c, u32 id)
{
	memcpy(c->magic, "BMRC", 4);
	c->id = id;
	c->ops = &slabplant_ops;
	c->fill[3] = 0xf111 + id;
}

/* The crumbs of a plot, in p->o. */
static bool bake(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		p->o[i] = kzalloc(p->kind->heap, GFP_KERNEL);
		if (!p->o[i])
			return false;
		fill_crumb((void *)p->o[i], i);
	}
	p->size = p->kind->heap;
	return true;
}

static struct crumb *crumb(struct plot *p, unsigned int i)
{
	return (void *)p->o[i];
}

static void plant_lost(struct plot *p)
{
	unsigned int i;

	if (bake(p))
		for_each_plant(p, i)
			lost(p, p->o[i], DEFINITE);
}

static void plant_tree(struct plot *p)
{
	unsigned int i;

	if (!bake(p))
		return;
	for_each_plant(p, i) {
		if (2 * i + 1 < p->n)
			crumb(p, i)->left = crumb(p, 2 * i + 1);
		if (2 * i + 2 < p->n)
			crumb(p, i)->right = crumb(p, 2 * i + 2);
		lost(p, p->o[i], i ? INDIRECT : DEFINITE);
	}
}

static void plant_ring(struct plot *p)
{
	unsigned int i;

	if (!bake(p))
		return;
	for_each_plant(p, i) {
		crumb(p, i)->right = crumb(p, (i + 1) % p->n);
		lost(p, p->o[i], p->n > 1 ? CYCLE : DEFINITE);
	}
}

static void plant_chain_held(struct plot *p)
{
	unsigned int i;

	if (!bake(p))
		return;
	slabplant_crumbs[p->variant] = crumb(p, 0);
	for_each_plant(p, i) {
		if (i)
			crumb(p, i - 1)->left = crumb(p, i);
		held(p, p->o[i], i ? &crumb(p, i - 1)->left : &slabplant_crumbs[p->variant],
		     "slabplant_crumbs");
	}
}

static void plant_tagged(struct plot *p)
{
	unsigned long *table = vzalloc(MOST_PLANTS * sizeof(*table));
	unsigned int i;

	slabplant_tagged[p->variant] = table;
	if (!table || !bake(p))
		return;
	for_each_plant(p, i) {
		table[i] = (unsigned long)p->o[i] | (i % 7 + 1);
		held(p, p->o[i], &table[i], "slabplant_tagged");
	}
}

const struct kind heap_kinds[] = {
	{ "lost:kmalloc-64", DROPPED, DEFINITE, NO_HEAD, .plant = plant_lost, .heap = 64 },
	{ "lost:kmalloc-1k", DROPPED, DEFINITE, NO_HEAD, .plant = plant_lost, .heap = 1024 },
	{ "lost:kmalloc-tree", DROPPED, INDIRECT, NO_HEAD, .plant = plant_tree, .heap = 96 },
	{ "lost:kmalloc-ring", DROPPED, CYCLE, NO_HEAD, .plant = plant_ring, .heap = 128 },
	{ "held:kmalloc-64", INSERTED, HELD, NO_HEAD, .plant = plant_chain_held, .heap = 64 },
	{ "held:kmalloc-1k", INSERTED, HELD, NO_HEAD, .plant = plant_tagged, .heap = 1024 },
	{}
};

/* 10^5 lost objects of three kinds, as many held: no record each. */
struct crumb *slabplant_long_chain;
unsigned long *slabplant_long_table;
struct crumb *slabplant_deep;

static unsigned long *grow(unsigned int n, unsigned int size, struct kmem_cache *cache)
{
	unsigned long *hidden = vzalloc(n * sizeof(*hidden));
	unsigned int i;

	for (i = 0; hidden && i < n; i++) {
		struct crumb *c = cache ? kmem_cache_zalloc(cache, GFP_KERNEL)
					: kzalloc(size, GFP_KERNEL);

		if (!c)
			return NULL;
		fill_crumb(c, i);
		hidden[i] = hide(c);
		if (i % 1024 == 0)
			cond_resched();
	}
	return hidden;
}

void build_many(void)
{
	struct kmem_cache *named = kmem_cache_create_usercopy("plant_many", 320, 0, 0, 0, 320,
							      NULL);
	unsigned long *small = grow(60000, 64, NULL), *held_small = grow(60000, 64, NULL);
	unsigned long *large = grow(10000, 1024, NULL), *held_large = grow(10000, 1024, NULL);
	unsigned long *mine, *held_mine;
	unsigned int i;

	mine = named ? grow(30000, 320, named) : NULL;
	held_mine = named ? grow(30000, 320, named) : NULL;
	slabplant_long_table = vzalloc(60000 * sizeof(long));
	if (!small || !held_small || !large || !held_large || !mine || !held_mine ||
	    !slabplant_long_table)
		return;
	many("kmalloc-64", DEFINITE, small, 60000);
	many("kmalloc-1k", DEFINITE, large, 10000);
	many("plant_many", DEFINITE, mine, 30000);
	/* tagged pointers in a table; a chain of 10,000; a binary tree, root in the data */
	for (i = 0; i < 60000; i++)
		slabplant_long_table[i] = (unsigned long)shown(held_small[i]) | 1;
	slabplant_long_chain = shown(held_large[0]);
	for (i = 0; i + 1 < 10000; i++)
		((struct crumb *)shown(held_large[i]))->right = shown(held_large[i + 1]);
	slabplant_deep = shown(held_mine[0]);
	for (i = 0; i < 30000; i++) {
		struct crumb *c = shown(held_mine[i]);

		c->left = 2 * i + 1 < 30000 ? shown(held_mine[2 * i + 1]) : NULL;
		c->right = 2 * i + 2 < 30000 ? shown(held_mine[2 * i + 2]) : NULL;
	}
	many("kmalloc-64", HELD, held_small, 60000);
	many("kmalloc-1k", HELD, held_large, 10000);
	many("plant_many", HELD, held_mine, 30000);
}

void build_thousand(void)
{
	unsigned long *small = grow(1000, 64, NULL);

	if (small)
		many("kmalloc-64", DEFINITE, small, 1000);
}
