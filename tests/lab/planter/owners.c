// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Objects whose own lists others are on, and objects that another live object has: what
 * looks like a list's head may be a waiter, and what looks like a node a head.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/version.h>

#include "plant.h"

/* A task that sleeps until the object's own wait queue, or its mutex, lets it go on. */
struct waiter {
	unsigned long hidden;
	bool mutex;
	struct completion runs;
};
static struct waiter slabplant_waiter[2][PLOTS_A_KIND][3];

static noinline int wait_for_it(void *data)
{
	struct waiter *w = data;
	struct plant *o = shown(w->hidden);

	complete(&w->runs);
	if (w->mutex)
		mutex_lock(&o->mutex);
	else
		wait_event(o->waiters, false);
	barrier_data(o);
	return 0;
}

static void plant_waiters(struct plot *p, bool mutex)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct waiter *w = &slabplant_waiter[mutex][p->variant][i];
		struct task_struct *task;

		if (mutex)
			mutex_lock(&p->o[i]->mutex);
		w->hidden = hide(p->o[i]);
		w->mutex = mutex;
		init_completion(&w->runs);
		task = kthread_run(wait_for_it, w, "plant_%s%u", mutex ? "lock" : "wait", i);
		if (IS_ERR(task))
			return;
		wait_for_completion(&w->runs);
		held(p, p->o[i], NULL, "wait_for_it");
	}
	msleep(50);
}

static void plant_waited(struct plot *p)
{
	plant_waiters(p, false);
}

static void plant_locked(struct plot *p)
{
	plant_waiters(p, true);
}

/* Its own list has one entry, which lies in this module's data. */
static struct list_head slabplant_entries[PLOTS_A_KIND][MOST_PLANTS];

static void plant_entry(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		list_add_tail(&slabplant_entries[p->variant][i], &p->o[i]->list);
		held(p, p->o[i], &slabplant_entries[p->variant][i].next, "slabplant_entries");
	}
}

/* An sk_buff's control block has it. */
static void plant_skb(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct sk_buff *skb = keep(alloc_skb(128, GFP_KERNEL));

		if (!skb)
			return;
		*(void **)skb->cb = p->o[i];
		held(p, p->o[i], skb->cb, "sk_buff");
	}
}

/* What has it will be freed by a callback that RCU, a worker or a timer still has to call. */
struct keeper {
	u64 number;
	void *kept;
	union {
		struct rcu_head rcu;
		struct delayed_work dwork;
	};
};
enum { BY_RCU, BY_KFREE };
static unsigned long slabplant_keepers[2][PLOTS_A_KIND][MOST_PLANTS];

static void keeper_called(struct rcu_head *rcu)
{
}

static void keeper_worked(struct work_struct *work)
{
}

static void plant_rcu_keeper(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct keeper *k = kzalloc(sizeof(*k), GFP_KERNEL);

		if (!k)
			return;
		k->kept = p->o[i];
		slabplant_keepers[BY_RCU][p->variant][i] = hide(k);
		held(p, p->o[i], &k->kept, "keeper_called");
	}
}

static void last_rcu_keeper(struct plot *p)
{
	unsigned int i;

	start_reader();
	for_each_plant(p, i) {
		struct keeper *k = shown(slabplant_keepers[BY_RCU][p->variant][i]);

		call_rcu(&k->rcu, keeper_called);
	}
}

static void plant_work_keeper(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct keeper *k = kzalloc(sizeof(*k), GFP_KERNEL);

		if (!k)
			return;
		k->kept = p->o[i];
		INIT_DELAYED_WORK(&k->dwork, keeper_worked);
		schedule_delayed_work(&k->dwork, (1700 + 13 * i) * HZ);
		held(p, p->o[i], &k->kept, "keeper_worked");
	}
}

/* What had it has been given to kfree_rcu(), and waits for its grace period. */
static void last_freed_keeper(struct plot *p)
{
	unsigned int i;

	start_reader();
	for_each_plant(p, i) {
		struct keeper *k = shown(slabplant_keepers[BY_KFREE][p->variant][i]);

		kfree_rcu(k, rcu);
	}
}

static void plant_freed_keeper(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct keeper *k = kzalloc(sizeof(*k), GFP_KERNEL);

		if (!k)
			return;
		k->kept = p->o[i];
		slabplant_keepers[BY_KFREE][p->variant][i] = hide(k);
		no_holder(p, p->o[i], &k->kept, "until-grace");
	}
}

/* With a key, or a tag in the upper bits: no pointer is to be found. */
static unsigned long slabplant_xored[PLOTS_A_KIND][MOST_PLANTS];
static unsigned long slabplant_upper[PLOTS_A_KIND][MOST_PLANTS];

static void plant_xored(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_xored[p->variant][i] = (unsigned long)p->o[i] ^ 0x5ca1ab1ec0ffeeUL;
		handle(p, p->o[i], &slabplant_xored[p->variant][i], "slabplant_xored");
	}
}

static void plant_upper(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_upper[p->variant][i] =
			((unsigned long)p->o[i] << 16 >> 16) | (0x1200UL + i) << 48;
		handle(p, p->o[i], &slabplant_upper[p->variant][i], "slabplant_upper");
	}
}

const struct kind owner_kinds[] = {
	{ "held:waited-on", DROPPED, HELD, WAITERS, .most = 3, .plant = plant_waited },
	{ "held:mutex-waiter", DROPPED, HELD, MUTEX, .most = 3, .plant = plant_locked },
	{ "held:own-entry", DROPPED, HELD, CHILDREN, .plant = plant_entry },
	{ "held:skb", INSERTED, HELD, NO_HEAD, .plant = plant_skb },
	{ "held:rcu-keeper", INSERTED, HELD, NO_HEAD, .plant = plant_rcu_keeper,
	  .last = last_rcu_keeper },
	{ "held:work-keeper", INSERTED, HELD, NO_HEAD, .plant = plant_work_keeper },
	{ "trap:freed-keeper", DROPPED, DEFINITE, NO_HEAD, .plant = plant_freed_keeper,
	  .last = last_freed_keeper },
	{ "hidden:xored", TAKEN_OFF, BY_HANDLE, .plant = plant_xored },
	{ "hidden:upper-bits", DROPPED, BY_HANDLE, NO_HEAD, .plant = plant_upper },
	{}
};
