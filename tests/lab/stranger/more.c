// SPDX-License-Identifier: GPL-3.0-or-later
/* Second thoughts: heads in odd places, relations among leaked things, memory used again. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>
#include "stranger.h"

#define EACH(p, objs, i) for (i = 0; i < (p)->n && (entered(p, (objs)[i]), true); i++)

/* A list of the kernel's own has it: misc_list. */
static const struct file_operations misc_fops = { .owner = THIS_MODULE };

static void plant_misc(struct plot *p, struct thing **objs)
{
	struct miscdevice *misc = (void *)&objs[0]->u;

	BUILD_BUG_ON(sizeof(*misc) > sizeof(objs[0]->u));
	entered(p, objs[0]);
	misc->minor = MISC_DYNAMIC_MINOR;
	misc->name = "st_misc";
	misc->fops = &misc_fops;
	(void)!misc_register(misc);
}

static struct kthread_worker *thing_worker;

static void work_thing(struct kthread_work *work)
{
	pr_info("work %px\n", work);
}

static void sleep_for_ever(struct kthread_work *work)
{
	for (;;)
		schedule_timeout_idle(1000 * HZ);
}

static DEFINE_KTHREAD_WORK(blocking_work, sleep_for_ever);

static void plant_kwork(struct plot *p, struct thing **objs)
{
	int i;

#ifdef kthread_run_worker	/* since v6.14 kthread_create_worker() does not start it */
	thing_worker = kthread_run_worker(0, "st_worker");
#else
	thing_worker = kthread_create_worker(0, "st_worker");
	wake_up_process(thing_worker->task);
#endif
	kthread_queue_work(thing_worker, &blocking_work);
	msleep(20);
	EACH(p, objs, i) {
		struct kthread_work *work = (void *)&objs[i]->u;

		kthread_init_work(work, work_thing);
		kthread_queue_work(thing_worker, work);
	}
}

/* Each has a satellite that only it knows, and that knows it. */
struct satellite {
	struct thing *owner;
	unsigned long numbers[6];
};

static void plant_satellite(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		struct satellite *s = kzalloc(sizeof(*s), GFP_KERNEL);

		s->owner = objs[i];
		objs[i]->u.words[3] = (unsigned long)s;
	}
}

static void plant_pair(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		objs[i]->u.next = objs[i ^ 1];
}

/* Known only to a domain that is lost itself. */
static void plant_by_lost(struct plot *p, struct thing **objs)
{
	struct domain *d = new_domain(p);
	int i;

	EACH(p, objs, i)
		d->ring[i] = objs[i];
}

/* On a list whose head is in a domain that is lost itself. */
static void plant_list_lost(struct plot *p, struct thing **objs)
{
	struct domain *d = new_domain(p);
	int i;

	EACH(p, objs, i)
		list_add(&objs[i]->link, &d->things);
}

/* The head's domain was freed, and another domain has its place. */
static void plant_head_reused(struct plot *p, struct thing **objs)
{
	struct domain *d = new_domain(p);
	int i;

	EACH(p, objs, i)
		list_add(&objs[i]->link, &d->things);
	kmem_cache_free(domains, d);
	d = new_domain(p);
	WRITE_ONCE(d->ring[0], (void *)1);
}

static struct hlist_head hashed[4];

static void plant_deleted_hashed(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		list_add(&objs[i]->link, &registry[p->ix]);
		hlist_add_head(&objs[i]->u.hnode, &hashed[i & 3]);
	}
	for (i = 0; i < p->n; i++)
		list_del(&objs[i]->link);
}

/* The first is the others' parent: they are on its list. */
static void make_family(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		INIT_LIST_HEAD(&objs[i]->u.heads.kids);
		if (i)
			list_add_tail(&objs[i]->link, &objs[0]->u.heads.kids);
		p->told[i] = i ? 2 : 1;
	}
}

static struct thing *ancestor[PLOTS];

static void plant_family(struct plot *p, struct thing **objs)
{
	make_family(p, objs);
	WRITE_ONCE(ancestor[p->ix], objs[0]);
}

static void free_parent(struct rcu_head *head)
{
	pr_info("parent %px\n", head);
}

struct parent {
	struct rcu_head rcu;
	struct thing *things[4];
};

static void plant_grace(struct plot *p, struct thing **objs)
{
	struct parent *parent = kzalloc(sizeof(*parent), GFP_KERNEL);
	int i;

	stop_grace_periods();
	EACH(p, objs, i)
		parent->things[i] = objs[i];
	call_rcu(&parent->rcu, free_parent);
}

static DEFINE_PER_CPU(struct list_head, thing_lists);

static void plant_list_percpu(struct plot *p, struct thing **objs)
{
	struct list_head *head = per_cpu_ptr(&thing_lists, 1);
	int i;

	INIT_LIST_HEAD(head);
	EACH(p, objs, i)
		list_add(&objs[i]->link, head);
}

static struct list_head *far_heads, *page_heads;

static void plant_list_vmalloc(struct plot *p, struct thing **objs)
{
	int i;

	WRITE_ONCE(far_heads, vzalloc(3 * PAGE_SIZE));
	INIT_LIST_HEAD(far_heads + 5);
	EACH(p, objs, i)
		list_add(&objs[i]->link, far_heads + 5);
}

static void plant_list_page(struct plot *p, struct thing **objs)
{
	int i;

	WRITE_ONCE(page_heads, (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1));
	INIT_LIST_HEAD(page_heads + 300);
	EACH(p, objs, i)
		list_add(&objs[i]->link, page_heads + 300);
}

static void plant_some_left(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		p->told[i] = i < 2 ? 2 : 1;
		if (i < 2)
			continue;
		list_add(&objs[i]->link, &registry[p->ix]);
		entered(p, objs[i]);
	}
}

/* A task waits in the object's own wait queue; nothing else knows the object. */
static int wait_in(void *data)
{
	struct thing *t = data;

	wait_event_idle(t->u.heads.queue, READ_ONCE(t->state) == 77);
	return 0;
}

static void plant_waited(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		init_waitqueue_head(&objs[i]->u.heads.queue);
		kthread_run(wait_in, objs[i], "st_sitter%d", i);
	}
	msleep(50);
}

/* Each slab has free objects, so that each is on the list of partial ones. */
static void plant_holes(struct plot *p, struct thing **objs)
{
	struct thing **more = kcalloc(p->n, sizeof(*more), GFP_KERNEL);
	int i;

	for (i = 0; i < p->n; i++) {
		objs[i] = fresh(p, p->left);
		more[i] = fresh(p, p->left);
		list_add(&objs[i]->link, &registry[p->ix]);
		entered(p, objs[i]);
	}
	for (i = 0; i < p->n; i++)
		kmem_cache_free(p->left, more[i]);
	kfree_sensitive(more);
}

const struct kind more_kinds[] = {
	{ "none", plant_bare },
	{ "holes", plant_holes, .own = true },
	{ "misc", plant_misc },
	{ "kwork", plant_kwork },
	{ "satellite", plant_satellite, .living = living_kept },
	{ "pair", plant_pair, .living = living_kept },
	{ "by-lost", plant_by_lost, .living = living_kept },
	{ "list-lost", plant_list_lost },
	{ "head-reused", plant_head_reused },
	{ "deleted-hashed", plant_deleted_hashed },
	{ "family", plant_family },
	{ "family-lost", make_family },
	{ "grace-parent", plant_bare, plant_grace, .last = true },
	{ "list-percpu", plant_list_percpu },
	{ "list-vmalloc", plant_list_vmalloc },
	{ "list-page", plant_list_page },
	{ "some-left", plant_some_left },
	{ "waited", plant_waited },
	{ }
};
