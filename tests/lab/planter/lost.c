// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects lost one by one, by how they came to be lost; and those freed too late. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/vmalloc.h>

#include "plant.h"

#define BUCKETS 16

/* On its own list an object has two children, which point back: nobody else knows it. */
struct child {
	struct list_head siblings;
	u64 number[6];
};

static void plant_children(struct plot *p)
{
	unsigned int i, k;

	for_each_plant(p, i) {
		for (k = 0; k < 2; k++) {
			struct child *c = kzalloc(sizeof(*c), GFP_KERNEL);

			if (!c)
				continue;
			c->number[0] = k;
			list_add_tail(&c->siblings, &p->o[i]->list);
			beside(p, c, sizeof(*c), "child", CYCLE);
		}
		lost(p, p->o[i], CYCLE);
	}
}

/* One leftover, three histories. */
static void plant_mixed(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct plant *o = p->o[i];

		lost(p, o, DEFINITE);
		if (i % 3 == 0)
			continue;
		insert(p, o);
		if (i % 3 == 1) {
			take_off(p, o);
			remember(o, TAKEN_OFF);
		} else {
			list_del(&o->list);
			remember(o, DELETED);
		}
	}
}

/* A list whose head is about to be freed. */
static void join(struct plot *p, struct list_head *head)
{
	unsigned int i;

	for_each_plant(p, i) {
		list_add_tail(&p->o[i]->list, head);
		lost(p, p->o[i], p->n > 1 ? CYCLE : DEFINITE);
	}
}

struct headed {
	u64 number;
	struct list_head members;
	u64 more[5];
};

static void plant_head_freed(struct plot *p)
{
	struct headed *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return;
	INIT_LIST_HEAD(&h->members);
	join(p, &h->members);
	kfree(h);
}

static void plant_table_freed(struct plot *p)
{
	struct hlist_head *table = vzalloc(8192);
	unsigned int i;

	if (!table)
		return;
	for_each_plant(p, i) {
		hlist_add_head(&p->o[i]->hnode, &table[i % BUCKETS]);
		lost(p, p->o[i], i >= BUCKETS || i + BUCKETS < p->n ? CYCLE : DEFINITE);
	}
	vfree(table);
}

/*
 * slabgone lends what lies in its data, and is unloaded before the cache is destroyed.
 * A list head, then room for so many pointers.
 */
static struct list_head *lent_head;
static void **lent_pointers;

void slabplant_lend(struct list_head *head, void **pointers);
void slabplant_lend(struct list_head *head, void **pointers)
{
	lent_head = head;
	lent_pointers = pointers;
}
EXPORT_SYMBOL_GPL(slabplant_lend);

static bool borrow(void)
{
	static char *load[] = { "/bin/insmod", "/slabgone.ko", NULL };

	lent_head = NULL;
	run_program(load, UMH_WAIT_PROC);
	return lent_head;
}

static void give_back(void)
{
	static char *unload[] = { "/bin/rmmod", "slabgone", NULL };

	run_program(unload, UMH_WAIT_PROC);
}

static void plant_module_list(struct plot *p)
{
	if (!borrow())
		return;
	join(p, lent_head);
	give_back();
}

static void plant_module_pointer(struct plot *p)
{
	unsigned int i;

	if (!borrow())
		return;
	for_each_plant(p, i) {
		lent_pointers[i] = p->o[i];
		no_holder(p, p->o[i], &lent_pointers[i], "slabgone_pointers");
	}
	give_back();
}

/* All are freed, but only after the destroy. */
struct late {
	struct plot *plot;
	struct work_struct work;
	struct timer_list timer;
	struct completion done;
};
static struct late late[PLOTS_A_KIND];

static void free_all(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		kmem_cache_free(p->cache, shown(p->hidden[i]));
}

static void free_by_work(struct work_struct *work)
{
	struct late *l = container_of(work, struct late, work);

	free_all(l->plot);
	complete(&l->done);
}

static void free_by_timer(struct timer_list *timer)
{
	struct late *l = container_of(timer, struct late, timer);

	free_all(l->plot);
	complete(&l->done);
}

static void free_by_rcu(struct rcu_head *rcu)
{
	struct plant *o = container_of(rcu, struct plant, rcu);
	struct plot *p = (void *)o->more;

	kmem_cache_free(p->cache, o);
}

static void plant_late(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		gone(p, p->o[i], p->kind->name);
}

static struct late *new_late(struct plot *p)
{
	struct late *l = &late[p->variant];

	l->plot = p;
	init_completion(&l->done);
	return l;
}

static void after_work(struct plot *p)
{
	struct late *l = new_late(p);

	INIT_WORK(&l->work, free_by_work);
	schedule_work(&l->work);
	wait_for_completion(&l->done);
}

static void after_timer(struct plot *p)
{
	struct late *l = new_late(p);

	timer_setup(&l->timer, free_by_timer, 0);
	mod_timer(&l->timer, jiffies + 3);
	wait_for_completion(&l->done);
}

static void after_rcu(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct plant *o = shown(p->hidden[i]);

		o->more = (void *)p;
		call_rcu(&o->rcu, free_by_rcu);
	}
}

const struct kind lost_kinds[] = {
	{ "lost:never-linked", NEVER_LINKED, DEFINITE },
	{ "lost:half-inserted", HALF_INSERTED, DEFINITE },
	{ "lost:taken-off", TAKEN_OFF, DEFINITE },
	{ "lost:taken-off-reset", TAKEN_OFF_RESET, DEFINITE },
	{ "lost:deleted", DELETED, DEFINITE },
	{ "lost:never-written", NEVER_WRITTEN, DEFINITE },
	{ "lost:dropped-pointer", DROPPED, DEFINITE, NO_HEAD },
	{ "lost:own-children", DROPPED, DEFINITE, CHILDREN },
	{ "lost:children-full", DROPPED, CYCLE, CHILDREN, .plant = plant_children },
	{ "lost:mutex", DROPPED, DEFINITE, MUTEX },
	{ "lost:wait-queue", DROPPED, DEFINITE, WAITERS },
	{ "lost:mixed", NEVER_LINKED, DEFINITE, .plant = plant_mixed },
	{ "lost:head-freed", HEAD_GONE, CYCLE, .plant = plant_head_freed },
	{ "lost:table-freed", HEAD_GONE, CYCLE, NO_HEAD, .plant = plant_table_freed },
	{ "lost:module-list", HEAD_GONE, CYCLE, .plant = plant_module_list },
	{ "lost:module-pointer", HEAD_GONE, DEFINITE, NO_HEAD, .plant = plant_module_pointer },
	{ "late:work", TAKEN_OFF, FREED, .plant = plant_late, .after = after_work },
	{ "late:timer", TAKEN_OFF, FREED, .plant = plant_late, .after = after_timer },
	{ "late:rcu", TAKEN_OFF, FREED, .plant = plant_late, .after = after_rcu },
	{}
};
