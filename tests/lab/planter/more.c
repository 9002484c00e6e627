// SPDX-License-Identifier: GPL-3.0-or-later
/* More ways to be lost one by one: wiped, with a reference too many, taken out of a table. */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/rculist.h>

#include "plant.h"

static void lost_each(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		lost(p, p->o[i], p->kind->loss);
}

static void plant_wiped(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		insert(p, p->o[i]);
		take_off(p, p->o[i]);
		memset(p->o[i], 0, p->size);
	}
	lost_each(p);
}

/* As a living one to the last byte, but off the list, and with one reference more. */
static void plant_reference(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		insert(p, p->o[i]);
		refcount_inc(&p->o[i]->refs);
		list_del_init(&p->o[i]->list);
	}
	lost_each(p);
}

static void plant_deleted_rcu(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		insert(p, p->o[i]);
	for_each_plant(p, i)
		list_del_rcu(&p->o[i]->list);
	lost_each(p);
}

static struct hlist_head slabplant_once[16];

static void plant_unhashed(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		hlist_add_head(&p->o[i]->hnode, &slabplant_once[i % 16]);
	for_each_plant(p, i)
		hlist_del_init(&p->o[i]->hnode);
	lost_each(p);
}

static void plant_hlist_deleted(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		hlist_add_head(&p->o[i]->hnode, &slabplant_once[i % 16]);
	for_each_plant(p, i)
		hlist_del(&p->o[i]->hnode);
	lost_each(p);
	for_each_plant(p, i)
		remember(p->o[i], DELETED);
}

static void plant_erased(struct plot *p)
{
	struct rb_root root = RB_ROOT;
	unsigned int i;

	for_each_plant(p, i) {
		struct rb_node **at = &root.rb_node, *parent = NULL;

		while (*at) {
			parent = *at;
			at = &parent->rb_right;
		}
		rb_link_node(&p->o[i]->rb, parent, at);
		rb_insert_color(&p->o[i]->rb, &root);
	}
	for_each_plant(p, i) {
		rb_erase(&p->o[i]->rb, &root);
		RB_CLEAR_NODE(&p->o[i]->rb);
		p->o[i]->rb.rb_left = p->o[i]->rb.rb_right = NULL;
	}
	lost_each(p);
}

/* The list's head lies in an object that is lost itself, of another cache. */
struct keeper {
	u64 number[3];
	struct list_head members;
};

static void plant_keeper_lost(struct plot *p)
{
	struct keeper *k = kzalloc(sizeof(*k), GFP_KERNEL);
	unsigned int i;

	if (!k)
		return;
	INIT_LIST_HEAD(&k->members);
	for_each_plant(p, i) {
		insert_traces(p, p->o[i]);
		list_add_tail(&p->o[i]->list, &k->members);
		lost(p, p->o[i], CYCLE);
	}
	beside(p, k, sizeof(*k), "keeper", CYCLE);
}

/* One leftover: some held by an array, some on a list, some taken off, some wiped. */
static void *slabplant_some[PLOTS_A_KIND][MOST_PLANTS];
static struct list_head slabplant_others[PLOTS_A_KIND];

static void plant_medley(struct plot *p)
{
	struct list_head *head = &slabplant_others[p->variant];
	unsigned int i;

	INIT_LIST_HEAD(head);
	for_each_plant(p, i) {
		struct plant *o = p->o[i];

		insert_traces(p, o);
		switch (i % 4) {
		case 0:
			slabplant_some[p->variant][i] = o;
			held(p, o, &slabplant_some[p->variant][i], "slabplant_some");
			remember(o, INSERTED);
			break;
		case 1:
			list_add_tail(&o->list, head);
			held(p, o, &o->list.prev->next, "slabplant_others");
			remember(o, INSERTED);
			break;
		case 2:
			list_add_tail(&o->list, head);
			list_del(&o->list);
			lost(p, o, DEFINITE);
			remember(o, DELETED);
			break;
		default:
			memset(o, 0, p->size);
			lost(p, o, DEFINITE);
			remember(o, WIPED);
		}
	}
}

const struct kind more_lost_kinds[] = {
	{ "lost:wiped", WIPED, DEFINITE, .plant = plant_wiped },
	{ "lost:reference", REF_LEAKED, DEFINITE, .plant = plant_reference },
	{ "lost:deleted-rcu", DELETED_RCU, DEFINITE, .plant = plant_deleted_rcu },
	{ "lost:unhashed", UNHASHED, DEFINITE, NO_HEAD, .plant = plant_unhashed },
	{ "lost:hlist-deleted", INSERTED, DEFINITE, NO_HEAD, .plant = plant_hlist_deleted },
	{ "lost:erased", ERASED, DEFINITE, NO_HEAD, .plant = plant_erased },
	{ "lost:keeper-lost", HEAD_GONE, CYCLE, .plant = plant_keeper_lost },
	{ "lost:medley", NEVER_LINKED, DEFINITE, .plant = plant_medley },
	{}
};
