// SPDX-License-Identifier: GPL-3.0-or-later
/* The leaks, one after the other, and the account of them in /proc/slabtest. */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "third.h"

static char *scenario = "third";
module_param(scenario, charp, 0);

struct list_head clients[LEAKS];
static struct leak *leaks[LEAKS];
static int leak_count;
static u64 sequence = 1000;
static void *kept[1024];	/* living objects that have no list */

static const size_t sizes[] = {
	[CONN] = sizeof(struct conn), [REQ] = sizeof(struct req),
	[DESC] = sizeof(struct desc), [NODE] = sizeof(struct item),
};

static void retire(struct work_struct *work)
{
	struct req *r = container_of(to_delayed_work(work), struct req, retry);

	pr_info("request %llu retired\n", r->tag);
}

static void conn_expire(struct timer_list *timer)
{
	pr_info("expired\n");
}

void *fresh(struct leak *l, struct kmem_cache *cache)
{
	void *object = kmem_cache_zalloc(cache, GFP_KERNEL);
	struct conn *c = object;
	struct req *r = object;
	struct desc *d = object;
	struct item *n = object;

	switch (l->type) {
	case CONN:
		INIT_LIST_HEAD(&c->list);
		refcount_set(&c->refs, 1);
		timer_setup(&c->timer, conn_expire, 0);
		snprintf(c->name, sizeof(c->name), "conn-%d", l->ix);
		break;
	case REQ:
		r->op = 0x20 + l->ix;
		r->ops = "request operations";
		INIT_LIST_HEAD(&r->queue);
		init_completion(&r->done);
		sema_init(&r->sem, 0);
		INIT_DELAYED_WORK(&r->retry, retire);
		break;
	case DESC:
		d->cookie = ++sequence;
		d->len = 64;
		d->ops = "descriptor operations";
		break;
	case NODE:
		n->key = ++sequence;
		INIT_LIST_HEAD(&n->kids);
		INIT_LIST_HEAD(&n->sibling);
		break;
	}
	return object;
}

void enter(struct conn *c)
{
	c->state = LIVE;
	c->id = ++sequence;
	c->owner = "a client";
	c->last_used = jiffies;
	refcount_inc(&c->refs);
}

void send_off(struct req *r)
{
	r->tag = ++sequence;
	r->flags = 3;
	r->buffer = kmalloc(32, GFP_KERNEL);
}

void live_conns(struct leak *l, void **objs, int n)
{
	struct conn *c;
	int i;

	for (i = 0; i < n; i++) {
		c = objs[i];
		list_add_tail(&c->list, &clients[l->ix]);
		enter(c);
	}
}

void live_reqs(struct leak *l, void **objs, int n)
{
	struct req *r;
	int i;

	for (i = 0; i < n; i++) {
		r = objs[i];
		send_off(r);
		list_add_tail(&r->queue, &clients[l->ix]);
	}
}

void live_array(struct leak *l, void **objs, int n)
{
	static int used;
	int i;

	for (i = 0; i < n; i++)
		WRITE_ONCE(kept[used++], objs[i]);
}

void idle(void)
{
	for (;;) {
		set_current_state(TASK_IDLE);
		schedule();
	}
}

void start(int (*main)(void *), void *data)
{
	kthread_run(main, data, "third-%ps", main);
	msleep(50);
}

static noinline void driver_exit(struct kmem_cache *cache, int *error)
{
	kmem_cache_destroy(cache);
	*error = 0;
}

static struct kmem_cache *new_cache(struct leak *l)
{
	char *name = kasprintf(GFP_KERNEL, "th_%s", l->name);

	/* A region for user copies keeps it from being merged. */
	return kmem_cache_create_usercopy(name, sizes[l->type], 0, 0, 0, 8, NULL);
}

static noinline void make_leak(struct leak *l)
{
	int i, error, living = l->n < 5 ? 7 : l->n + 5;
	struct kmem_cache *cache;
	void **objs = kcalloc(living, sizeof(*objs), GFP_KERNEL);

	l->left = new_cache(l);
	l->hidden = kcalloc(l->n, sizeof(u64), GFP_KERNEL);
	l->told = kcalloc(l->n, sizeof(u64), GFP_KERNEL);
	for (i = 0; i < l->n; i++)
		objs[i] = fresh(l, l->left);
	l->plant(l, objs);
	for (i = 0; i < l->n; i++)
		l->hidden[i] = ~(u64)(unsigned long)objs[i];
	driver_exit(l->left, &error);
	if (l->twin) {	/* as after the module was loaded again */
		cache = new_cache(l);
		for (i = 0; i < living; i++)
			objs[i] = fresh(l, cache);
		l->live(l, objs, living);
	}
	kfree_sensitive(objs);
}

static int account(struct seq_file *file, void *unused)
{
	struct leak *l;
	int i, j;

	for (i = 0; i < leak_count; i++) {
		l = leaks[i];
		seq_printf(file, "T cache th_%s leftover %llx %zu 0 0 0\n", l->name,
			   (u64)(unsigned long)l->left, sizes[l->type]);
		seq_printf(file, "T plot th_%s %s %d traces %s %llx driver_exit\n", l->name,
			   l->name, l->n, l->twin ? "twin" : "alone",
			   (u64)(unsigned long)l->left);
		for (j = 0; j < l->n; j++)
			seq_printf(file, "T leaked th_%s %llx %lld\n", l->name,
				   ~l->hidden[j], l->told[j]);
	}
	seq_printf(file, "T end %d 0\n", leak_count);
	return 0;
}

static int __init third_init(void)
{
	struct leak *const all[] = { lost_leaks, stale_leaks, owner_leaks, waiting_leaks,
				     container_leaks, left_leaks };
	struct leak *l;
	int i;

	for (i = 0; i < LEAKS; i++)
		INIT_LIST_HEAD(&clients[i]);
	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (l = all[i]; l->name; l++) {
			l->ix = leak_count;
			leaks[leak_count++] = l;
			make_leak(l);
		}
	proc_create_single("slabtest", 0444, NULL, account);
	return 0;
}

module_init(third_init);
MODULE_LICENSE("GPL");
