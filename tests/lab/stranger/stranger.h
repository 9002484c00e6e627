/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leaks planted as somebody would who has read what slabwhy promises and not how it works.
 *
 * A plot is a cache of its own with some objects, and what happened to them before (and
 * after) kmem_cache_destroy() failed. Nothing in the guest holds the objects but what the
 * plot says: the account keeps addresses with all bits inverted.
 */
#ifndef STRANGER_H
#define STRANGER_H

#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/klist.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/list_bl.h>
#include <linux/list_nulls.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

enum { NEW = 1, LIVE, DYING };
enum how { IN_INIT, IN_WORK, IN_ERROR, IN_EXIT, NOT_AT_ALL };

struct domain {
	struct list_head things;
	struct thing *only;
	struct thing *ring[4];
	unsigned long stamp;
	char name[24];
};

struct thing {
	u32 kind, state;
	u64 seq;		/* insertion writes these four, where the plot has traces */
	unsigned long since;
	struct domain *dom;
	refcount_t refs;
	u32 len;
	struct list_head link;
	char label[16];
	union {
		struct timer_list timer;
		struct hrtimer hrtimer;
		struct delayed_work dwork;
		struct work_struct work;
		struct rcu_head rcu;
		wait_queue_entry_t wait;
		struct kobject kobj;
		struct hlist_node hnode;
		struct hlist_nulls_node nnode;
		struct hlist_bl_node bnode;
		struct rb_node rb;
		struct llist_node lnode;
		struct klist_node knode;
		struct notifier_block nb;
		struct rhash_head rhead;
		struct thing *next;
		struct {
			struct mutex mutex;
			wait_queue_head_t queue;
			struct list_head kids;
		} heads;
		unsigned long words[24];
	} u;
};

struct plot {
	const char *kind;
	int n;
	bool twin, traces;
	enum how how;
	int ix;
	struct kmem_cache *left, *live;
	u64 *hidden;	/* ~ of each leaked object's address */
	u64 *told;	/* 1 + which of several histories */
};

struct kind {
	const char *name;
	void (*plant)(struct plot *p, struct thing **objs);
	void (*after)(struct plot *p, struct thing **objs);
	void (*living)(struct plot *p, struct thing **objs, int n);
	void (*ctor)(void *object);
	bool own;	/* plant() allocates the objects, too */
	bool last;	/* after() stops grace periods: a later destroy would wait for ever */
};

#define PLOTS 192

extern const struct kind callback_kinds[], holder_kinds[], history_kinds[], hiding_kinds[],
	gone_kinds[], more_kinds[];
extern struct list_head registry[PLOTS];	/* lists of leaked things, by plot */
extern struct list_head residents[PLOTS];	/* lists of the living */
extern struct kmem_cache *domains;

struct thing *fresh(struct plot *p, struct kmem_cache *cache);
void entered(struct plot *p, struct thing *t);
struct domain *new_domain(struct plot *p);
void plant_bare(struct plot *p, struct thing **objs);
void stop_grace_periods(void);
void living_on_list(struct plot *p, struct thing **objs, int n);
void living_kept(struct plot *p, struct thing **objs, int n);

#endif
