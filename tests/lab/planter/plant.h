/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * slabplant: objects that are lost or held, each in a way that is known.
 *
 * A kind is one way in which an object came to be where it is, and who holds it. A plot is
 * one cache with objects of one kind: 1, 3 or 40 of them, with a living twin of its name
 * or without, left behind or living.
 *
 * No word of this module may hold a planted object but the one that its kind says: what
 * is kept for the account is kept complemented, and temporary arrays are wiped.
 */
#ifndef SLABPLANT_H
#define SLABPLANT_H

#include <linux/hrtimer.h>
#include <linux/klist.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/list_bl.h>
#include <linux/list_nulls.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define PLOTS_A_KIND 4
#define MOST_PLANTS 40

/* Who can still find an object. The names are in account.c. */
enum loss {
	HELD,		/* what is in use has a pointer to it */
	DEFINITE,	/* nothing points to it, or only what isn't in use */
	INDIRECT,	/* only lost objects do */
	CYCLE,		/* lost objects point to each other in a ring: definite or indirect */
	BY_HANDLE,	/* what is in use finds it, but by no pointer */
	FREED,		/* given back after the destroy */
	TRANSIENT,	/* used by the guest when the account was printed */
};

enum history {
	NEVER_LINKED,	/* filled, and then no insertion came */
	HALF_INSERTED,	/* the insertion wrote its traces, but didn't link */
	TAKEN_OFF,	/* inserted, list_del_init() */
	TAKEN_OFF_RESET,/* the same, and every trace of the insertion wiped */
	DELETED,	/* inserted, list_del() */
	INSERTED,	/* where its kind says */
	DROPPED,	/* was known by one pointer, now overwritten */
	NEVER_WRITTEN,	/* as the allocator gave it (zeros) */
	HEAD_GONE,	/* on a list or in a table that has been freed since */
	WIPED,		/* inserted, taken off, and then cleared to the last byte */
	REF_LEAKED,	/* inserted, taken off, its last reference never dropped */
	UNHASHED,	/* inserted into a hash table, hlist_del_init() */
	ERASED,		/* inserted into an rb tree, rb_erase() and RB_CLEAR_NODE() */
	DELETED_RCU,	/* inserted, list_del_rcu(): next stays */
};

/* What is at `list`: the object's node, or a head of its own. */
enum head { NODE, CHILDREN, MUTEX, WAITERS, NO_HEAD };

struct plant {
	char magic[4];			/* 0x00 "TNLP" */
	u32 id;				/* 0x04 */
	char name[16];			/* 0x08 */
	u64 serial;			/* 0x18 \                                  */
	unsigned long since;		/* 0x20  } what an insertion writes, in a  */
	void *owner;			/* 0x28  } plot with traces; else 0, 0, 0, */
	u32 state;			/* 0x30  } 1, 1 all along                  */
	refcount_t refs;		/* 0x34 /                                  */
	struct list_head list;		/* 0x38 NODE or CHILDREN */
	struct plant *next;		/* 0x48 */
	struct plant *more;		/* 0x50 */
	union {				/* 0x58 */
		struct timer_list timer;
		struct hrtimer hrtimer;
		struct work_struct work;
		struct delayed_work dwork;
		struct rcu_head rcu;
		struct wait_queue_entry wait;
		struct wait_queue_head waiters;
		struct mutex mutex;
		struct kobject kobj;
		struct klist_node knode;
		struct notifier_block notifier;
		struct hlist_node hnode;
		struct hlist_nulls_node nulls;
		struct hlist_bl_node bl;
		struct rb_node rb;
		struct llist_node lnode;
		void *plain[4];
	};
};
#define PLANT_STABLE offsetof(struct plant, plain) /* bytes that no kernel code changes */

enum state { NEW = 1, LIVE, DYING };

struct plot;

struct kind {
	const char *name;		/* held:timer, lost:tree */
	enum history history;
	enum loss loss;
	enum head head;
	unsigned int most;		/* objects in a plot, 0: 40 */
	void (*plant)(struct plot *p);	/* before the destroy; may be NULL */
	void (*after)(struct plot *p);	/* after it */
	void (*last)(struct plot *p);	/* when all plots are done */
	unsigned int heap;		/* its objects are kmalloc'ed, of that size; no cache */
};

struct plot {
	const struct kind *kind;
	unsigned int variant;		/* 0..3: index for a kind's own static roots */
	unsigned int n;
	bool traces, leftover, twin;
	char name[32];
	struct kmem_cache *cache, *twin_cache;
	unsigned int size;
	struct plant *o[MOST_PLANTS];	/* wiped after planting */
	unsigned long hidden[MOST_PLANTS];
};

#define for_each_plant(p, i) for (i = 0; i < (p)->n; i++)

static inline unsigned long hide(const void *p)
{
	return ~(unsigned long)p;
}

static inline void *shown(unsigned long hidden)
{
	return (void *)~hidden;
}

/* account.c */
void note_plot(struct plot *p);
/* o is held by the word at `where`, which belongs to `owner` (a symbol or function) */
void held(struct plot *p, void *o, void *where, const char *owner);
void lost(struct plot *p, void *o, enum loss loss);
void gone(struct plot *p, void *o, const char *how);
/* a word with a pointer to o that is no holder */
void no_holder(struct plot *p, void *o, void *where, const char *what);
/* an object of another cache that belongs to the plot */
void beside(struct plot *p, void *o, unsigned int size, const char *what, enum loss loss);
/* its history is another than its kind's */
void remember(void *o, enum history history);
void living(struct plot *p, struct plant *o);
void many(const char *what, enum loss loss, unsigned long *hidden, unsigned int n);
/* found by the word at `where`, which is no pointer to it */
void handle(struct plot *p, void *o, void *where, const char *owner);
/* the holder of an object that is in the account is at another place now */
void move_to(void *o, void *where);
unsigned int nr_plots(void);
struct plot *plot(unsigned int i);
int account_init(void);

/* plant.c */
void *keep(void *p);			/* makes p reachable for good, from this module's bss */
void insert_traces(struct plot *p, struct plant *o);
void insert(struct plot *p, struct plant *o);
void take_off(struct plot *p, struct plant *o);
void build_kind(const struct kind *kind);
void run_program(char **argv, int wait);
extern struct list_head slabplant_living;
extern struct xarray slabplant_table;
void build_all(void);

extern const struct kind more_lost_kinds[], owner_kinds[], lost_kinds[], group_kinds[], heap_kinds[], trap_kinds[], list_kinds[],
	index_kinds[], waiting_kinds[], memory_kinds[], hidden_kinds[];
void start_reader(void);		/* waiting.c: no grace period ends any more */
void __init trap_early(void);		/* what must be planted while the module loads */
void build_many(void);			/* heaps.c: 10^5 lost objects and as many held */
void build_thousand(void);
#endif
