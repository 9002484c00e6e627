// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects in XArrays, IDRs, radix, maple and rb trees, in a mempool's reserve. */
#include <linux/idr.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/radix-tree.h>
#include <linux/version.h>
#include <linux/xarray.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
#include <linux/maple_tree.h>
#endif

#include "plant.h"

/* The word of an XArray (or of an IDR, or a radix tree: they are XArrays) for the index. */
static void *slot(struct xarray *xa, unsigned long index)
{
	XA_STATE(xas, xa, index);
	void *where;

	rcu_read_lock();
	xas_load(&xas);
	where = xas.xa_node ? (void *)&xas.xa_node->slots[xas.xa_offset]
			    : (void *)&xa->xa_head;
	rcu_read_unlock();
	return where;
}

static struct xarray slabplant_xarray[PLOTS_A_KIND];

static void plant_xarray(struct plot *p)
{
	struct xarray *xa = &slabplant_xarray[p->variant];
	unsigned int i;

	xa_init(xa);
	for_each_plant(p, i)
		xa_store(xa, 5000 * i, p->o[i], GFP_KERNEL);
	for_each_plant(p, i)
		held(p, p->o[i], slot(xa, 5000 * i), "slabplant_xarray");
}

static void plant_idr(struct plot *p)
{
	struct idr *idr = keep(kzalloc(sizeof(*idr), GFP_KERNEL));
	unsigned int i;

	if (!idr)
		return;
	idr_init(idr);
	for_each_plant(p, i)
		idr_alloc(idr, p->o[i], 0, 0, GFP_KERNEL);
	for_each_plant(p, i)
		held(p, p->o[i], slot(&idr->idr_rt, i), "idr");
}

static struct radix_tree_root slabplant_radix[PLOTS_A_KIND];

static void plant_radix(struct plot *p)
{
	struct radix_tree_root *root = &slabplant_radix[p->variant];
	unsigned int i;

	INIT_RADIX_TREE(root, GFP_KERNEL);
	for_each_plant(p, i) {
		radix_tree_insert(root, 3 * i, p->o[i]);
		if (i % 2)
			radix_tree_tag_set(root, 3 * i, 1);
	}
	for_each_plant(p, i)
		held(p, p->o[i], slot(root, 3 * i), "slabplant_radix");
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
static struct maple_tree slabplant_maple[PLOTS_A_KIND];

static void plant_maple(struct plot *p)
{
	struct maple_tree *tree = &slabplant_maple[p->variant];
	unsigned int i;

	mt_init(tree);
	for_each_plant(p, i) {
		mtree_store(tree, 100 * i, p->o[i], GFP_KERNEL);
		held(p, p->o[i], NULL, "slabplant_maple");
	}
}
#endif

static struct rb_root slabplant_rb[PLOTS_A_KIND];

static void plant_rb(struct plot *p)
{
	struct rb_root *root = &slabplant_rb[p->variant];
	unsigned int i;

	for_each_plant(p, i) {
		struct rb_node **at = &root->rb_node, *parent = NULL;

		while (*at) {
			parent = *at;
			at = i * 7 % 5 ? &parent->rb_right : &parent->rb_left;
		}
		rb_link_node(&p->o[i]->rb, parent, at);
		rb_insert_color(&p->o[i]->rb, root);
	}
	for_each_plant(p, i) {
		struct rb_node *up = rb_parent(&p->o[i]->rb);

		held(p, p->o[i], !up ? (void *)&root->rb_node :
		     up->rb_left == &p->o[i]->rb ? (void *)&up->rb_left
						 : (void *)&up->rb_right, "slabplant_rb");
	}
}

/* A pool's reserve: as the allocator gave them (zeros), and in nobody's use. */
static void *from_plot(gfp_t gfp, void *data)
{
	struct plot *p = data;
	unsigned int i;

	for_each_plant(p, i)
		if (p->o[i] && p->hidden[i] != hide(p->o[i])) {
			p->hidden[i] = hide(p->o[i]);
			return p->o[i];
		}
	return NULL;
}

static void to_plot(void *element, void *data)
{
}

static void plant_mempool(struct plot *p)
{
	mempool_t *pool = keep(mempool_create(p->n, from_plot, to_plot, p));
	unsigned int i;

	if (!pool)
		return;
	for (i = 0; i < (unsigned int)pool->curr_nr; i++)
		held(p, pool->elements[i], &pool->elements[i], "mempool");
}

/* A table in the module's data, filled beforehand: its objects wait, unwritten. */
static void *slabplant_zeros[PLOTS_A_KIND][MOST_PLANTS];

static void plant_zeros(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_zeros[p->variant][i] = p->o[i];
		held(p, p->o[i], &slabplant_zeros[p->variant][i], "slabplant_zeros");
	}
}

const struct kind index_kinds[] = {
	{ "held:xarray", TAKEN_OFF, HELD, .plant = plant_xarray },
	{ "held:idr", INSERTED, HELD, NO_HEAD, .plant = plant_idr },
	{ "held:radix", NEVER_LINKED, HELD, .plant = plant_radix },
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
	{ "held:maple", TAKEN_OFF, HELD, .plant = plant_maple },
#endif
	{ "held:rb", INSERTED, HELD, NO_HEAD, .plant = plant_rb },
	{ "held:mempool", NEVER_WRITTEN, HELD, NO_HEAD, .plant = plant_mempool },
	{ "held:zeroed-in-table", NEVER_WRITTEN, HELD, NO_HEAD, .plant = plant_zeros },
	{}
};
