/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leaks as drivers make them, each written down with its true history before anybody
 * looked at what slabwhy says of it.
 *
 * A leak is a cache of its own with some objects of one of four types. Nothing in the
 * guest holds the objects but what the leak's function says: the account keeps addresses
 * with all bits inverted.
 */
#ifndef THIRD_H
#define THIRD_H

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/list_bl.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/percpu-refcount.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rhashtable.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync del_timer_sync
#endif

enum { FRESH, LIVE, CLOSING };

/* A connection: found by list and hash, ended by its timer. */
struct conn {
	struct list_head list;
	struct hlist_node hash;
	refcount_t refs;
	u32 state;
	u64 id;			/* entering the list writes id, owner and last_used */
	const char *owner;
	unsigned long last_used;
	struct timer_list timer;
	char name[16];
};

/* A request: queued, waited for, retried. */
struct req {
	u32 op, flags;
	u64 tag;
	const char *ops;
	void *buffer;
	struct list_head queue;
	struct completion done;
	struct semaphore sem;
	struct delayed_work retry;
};

/* A descriptor: no list at all. */
struct desc {
	u64 cookie;
	u32 len, flags;
	struct desc *next;
	const char *ops;
	unsigned long words[12];
};

/* A node of whatever structure. */
struct item {
	u64 key;
	struct item *parent;
	struct list_head kids, sibling;
	union {
		struct {
			struct rb_node rb;
			unsigned long start, last, subtree;
		};
		struct rhlist_head rhl;
		struct rcu_head rcu;
		struct hlist_bl_node bl;
		struct llist_node ll;
		struct percpu_ref ref;
		struct cdev cdev;
		struct notifier_block nb;
	};
};

enum type { CONN, REQ, DESC, NODE };

struct leak {
	const char *name;
	enum type type;
	int n;
	bool twin;
	void (*plant)(struct leak *l, void **objs);
	void (*live)(struct leak *l, void **objs, int n);
	int ix;
	struct kmem_cache *left;
	u64 *hidden;	/* ~ of each leaked object's address */
	u64 *told;	/* which of several histories, from 1 on */
};

#define LEAKS 96

extern struct leak lost_leaks[], stale_leaks[], owner_leaks[], waiting_leaks[],
	container_leaks[], left_leaks[];
extern struct list_head clients[LEAKS];		/* lists of the living, by leak */

void *fresh(struct leak *l, struct kmem_cache *cache);
void enter(struct conn *c);
void send_off(struct req *r);
void live_conns(struct leak *l, void **objs, int n);
void live_reqs(struct leak *l, void **objs, int n);
void live_array(struct leak *l, void **objs, int n);
void idle(void);
void start(int (*main)(void *), void *data);

#endif
