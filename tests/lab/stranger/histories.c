// SPDX-License-Identifier: GPL-3.0-or-later
/* Lost: nothing holds them any more, and each has lost its holder in a way of its own. */
#include <linux/idr.h>
#include <linux/rculist.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>
#include "stranger.h"

static void linked(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		list_add_tail(&objs[i]->link, &registry[p->ix]);
		entered(p, objs[i]);
	}
}

static void plant_deleted(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++)
		list_del(&objs[i]->link);
}

static void plant_deleted_rcu(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++) {
		list_del_rcu(&objs[i]->link);
		objs[i]->state = DYING;
	}
}

static void plant_del_init(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++)
		list_del_init(&objs[i]->link);
}

static struct hlist_head buckets[8];

static void living_hashed(struct plot *p, struct thing **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		hlist_add_head(&objs[i]->u.hnode, &buckets[i & 7]);
		entered(p, objs[i]);
	}
}

static void plant_hlist_del(struct plot *p, struct thing **objs)
{
	int i;

	living_hashed(p, objs, p->n);
	for (i = 0; i < p->n; i++)
		hlist_del(&objs[i]->u.hnode);
}

static void plant_hlist_del_init(struct plot *p, struct thing **objs)
{
	int i;

	living_hashed(p, objs, p->n);
	for (i = 0; i < p->n; i++)
		hlist_del_init(&objs[i]->u.hnode);
}

static void plant_never(struct plot *p, struct thing **objs)
{
}

/* Unlinked as it should be, but somebody has taken a reference and never put it. */
static void plant_refcount(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++) {
		refcount_inc(&objs[i]->refs);
		list_del_init(&objs[i]->link);
		(void)!refcount_dec_not_one(&objs[i]->refs);
	}
}

static void plant_dying(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++) {
		objs[i]->state = DYING;
		list_del_init(&objs[i]->link);
	}
}

static void plant_zeroed(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++)
		objs[i] = kmem_cache_zalloc(p->left, GFP_KERNEL);
}

static void plant_filled(struct plot *p, struct thing **objs)
{
	int i;

	linked(p, objs);
	for (i = 0; i < p->n; i++) {
		list_del(&objs[i]->link);
		memset(objs[i], 0xaa, sizeof(*objs[i]));
	}
}

static void construct(void *object)
{
	struct thing *t = object;

	memset(t, 0, sizeof(*t));
	t->state = NEW;
	INIT_LIST_HEAD(&t->link);
	mutex_init(&t->u.heads.mutex);
	init_waitqueue_head(&t->u.heads.queue);
	INIT_LIST_HEAD(&t->u.heads.kids);
}

static void plant_two_states(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		p->told[i] = 1 + (i & 1);
		if (i & 1)
			continue;
		list_add_tail(&objs[i]->link, &registry[p->ix]);
		entered(p, objs[i]);
		list_del_init(&objs[i]->link);
	}
}

static void note_thing(struct timer_list *timer)
{
}

static void plant_two_histories(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		p->told[i] = 1 + (i & 1);
		if (i & 1)
			continue;
		entered(p, objs[i]);
		timer_setup(&objs[i]->u.timer, note_thing, 0);
		mod_timer(&objs[i]->u.timer, jiffies + 2000 * HZ);
	}
}

/* A domain has the only pointers; it is freed, the slot may get another. */
static void plant_parent_freed(struct plot *p, struct thing **objs)
{
	struct domain *d = new_domain(p);
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		d->ring[i] = objs[i];
	}
	kmem_cache_free(domains, d);
}

static void plant_parent_reused(struct plot *p, struct thing **objs)
{
	plant_parent_freed(p, objs);
	new_domain(p);
}

/* A list whose head was in a domain that is freed, its slot used again. */
static void plant_ring(struct plot *p, struct thing **objs)
{
	struct domain *d = new_domain(p);
	int i;

	for (i = 0; i < p->n; i++) {
		list_add_tail(&objs[i]->link, &d->things);
		entered(p, objs[i]);
	}
	list_del(&d->things);	/* the members go round without a head */
	memset(d, 0, sizeof(*d));
	kmem_cache_free(domains, d);
}

static void plant_lost_chain(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		objs[i]->u.next = i ? objs[i - 1] : NULL;
	}
}

static void into_tree(struct plot *p, struct thing **objs, int n, struct rb_root *root)
{
	int i;

	for (i = 0; i < n; i++) {
		struct rb_node **at = &root->rb_node, *parent = NULL;

		while (*at) {
			parent = *at;
			at = (i * 29) % 97 < rb_entry(parent, struct thing, u.rb)->len ?
				&parent->rb_left : &parent->rb_right;
		}
		objs[i]->len = (i * 29) % 97;
		rb_link_node(&objs[i]->u.rb, parent, at);
		rb_insert_color(&objs[i]->u.rb, root);
		entered(p, objs[i]);
	}
}

static void plant_lost_tree(struct plot *p, struct thing **objs)
{
	struct rb_root root = RB_ROOT;

	into_tree(p, objs, p->n, &root);
}

static struct rb_root living_root = RB_ROOT;

static void living_tree(struct plot *p, struct thing **objs, int n)
{
	into_tree(p, objs, n, &living_root);
}

/* Each has children on a list of its own (they are domains), and is itself lost. */
static void plant_kids(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		INIT_LIST_HEAD(&objs[i]->u.heads.kids);
		list_add(&new_domain(p)->things, &objs[i]->u.heads.kids);
		list_add(&new_domain(p)->things, &objs[i]->u.heads.kids);
	}
}

static struct thing *latest;

/* No list at all: heads of a mutex and a wait queue, and a pointer that is overwritten. */
static void plant_mutex(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		mutex_init(&objs[i]->u.heads.mutex);
		init_waitqueue_head(&objs[i]->u.heads.queue);
		INIT_LIST_HEAD(&objs[i]->u.heads.kids);
		memset(&objs[i]->link, 0, sizeof(objs[i]->link));
		WRITE_ONCE(latest, objs[i]);
		entered(p, objs[i]);
	}
	WRITE_ONCE(latest, NULL);
}

static struct thing *living_array[PLOTS];

static void living_pointed(struct plot *p, struct thing **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		mutex_init(&objs[i]->u.heads.mutex);
		init_waitqueue_head(&objs[i]->u.heads.queue);
		INIT_LIST_HEAD(&objs[i]->u.heads.kids);
		memset(&objs[i]->link, 0, sizeof(objs[i]->link));
		living_array[i] = objs[i];
		entered(p, objs[i]);
	}
}

static void plant_overwritten(struct plot *p, struct thing **objs)
{
	memset(&objs[0]->link, 0, sizeof(objs[0]->link));
	entered(p, objs[0]);
	WRITE_ONCE(latest, objs[0]);
	WRITE_ONCE(latest, NULL);
}

static void plant_table_vfreed(struct plot *p, struct thing **objs)
{
	struct hlist_head *table = vzalloc(2048 * sizeof(*table));
	int i;

	for (i = 0; i < p->n; i++) {
		hlist_add_head(&objs[i]->u.hnode, &table[i % 7]);
		entered(p, objs[i]);
	}
	vfree(table);
}

static noinline void plant_stack_head(struct plot *p, struct thing **objs)
{
	LIST_HEAD(batch);
	int i;

	for (i = 0; i < p->n; i++) {
		list_add(&objs[i]->link, &batch);
		entered(p, objs[i]);
	}
}

static void plant_late(struct plot *p, struct thing **objs)
{
	linked(p, objs);
}

static void after_late(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		list_del(&objs[i]->link);
		kmem_cache_free(p->left, objs[i]);
	}
}

static DEFINE_XARRAY(old_xa);

static void plant_xa_destroyed(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		xa_store(&old_xa, i, objs[i], GFP_KERNEL);
	}
	xa_destroy(&old_xa);
}

static DEFINE_IDR(old_idr);

static void plant_idr_destroyed(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		idr_alloc(&old_idr, objs[i], 0, 0, GFP_KERNEL);
	}
	idr_destroy(&old_idr);
}

static DEFINE_IDR(new_idr);

static void living_idr(struct plot *p, struct thing **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		entered(p, objs[i]);
		idr_alloc(&new_idr, objs[i], 0, 0, GFP_KERNEL);
	}
}

const struct kind history_kinds[] = {
	{ "deleted", plant_deleted },
	{ "deleted-rcu", plant_deleted_rcu },
	{ "del-init", plant_del_init },
	{ "hlist-del", plant_hlist_del, .living = living_hashed },
	{ "hlist-del-init", plant_hlist_del_init, .living = living_hashed },
	{ "never", plant_never },
	{ "refcount", plant_refcount },
	{ "dying", plant_dying },
	{ "zeroed", plant_zeroed, .own = true },
	{ "filled", plant_filled },
	{ "ctor", plant_never, .ctor = construct },
	{ "two-states", plant_two_states },
	{ "two-histories", plant_two_histories },
	{ "parent-freed", plant_parent_freed, .living = living_kept },
	{ "parent-reused", plant_parent_reused },
	{ "ring", plant_ring },
	{ "lost-chain", plant_lost_chain },
	{ "lost-tree", plant_lost_tree, .living = living_tree },
	{ "kids", plant_kids },
	{ "mutex", plant_mutex, .living = living_pointed },
	{ "overwritten", plant_overwritten },
	{ "table-vfreed", plant_table_vfreed, .living = living_hashed },
	{ "stack-head", plant_stack_head },
	{ "late", plant_late, after_late },
	{ "xa-destroyed", plant_xa_destroyed },
	{ "idr-destroyed", plant_idr_destroyed, .living = living_idr },
	{ }
};
