// SPDX-License-Identifier: GPL-3.0-or-later
/* Threads, timers and work that have these, or will have. */
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include "third.h"

static LLIST_HEAD(batches);
static LIST_HEAD(gone);

static int serve(void *data)
{
	struct req *r = data;

	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		schedule();
		r->flags++;
	}
	return 0;
}

/* A sleeping thread's argument. */
static void thread_argument(struct leak *l, void **objs)
{
	start(serve, objs[0]);
}

static int await_done(void *data)
{
	struct req *r = data;

	wait_for_completion(&r->done);
	return r->op;
}

/* A thread waits for its completion. */
static void completion_(struct leak *l, void **objs)
{
	start(await_done, objs[0]);
}

static int await_sem(void *data)
{
	struct req *r = data;

	down(&r->sem);
	return r->op;
}

/* A thread waits for its semaphore. */
static void semaphore_(struct leak *l, void **objs)
{
	start(await_sem, objs[0]);
}

static int drain(void *unused)
{
	struct llist_node *batch = llist_del_all(&batches), *next;

	set_current_state(TASK_IDLE);
	schedule();
	for (; batch; batch = next) {
		next = READ_ONCE(batch->next);
		llist_add(batch, &batches);
	}
	return 0;
}

/* A sleeping thread has taken a whole llist: a pointer on its stack leads to them. */
static void llist_taken(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		llist_add(&((struct item *)objs[i])->ll, &batches);
	start(drain, NULL);
}

static void poll_again(struct work_struct *work)
{
	schedule_delayed_work(to_delayed_work(work), 3);
}

/* A work item that queues itself again: poll_again(). */
static void requeues(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct req *r = objs[i];

		INIT_DELAYED_WORK(&r->retry, poll_again);
		schedule_delayed_work(&r->retry, 3);
	}
}

/* Pending for an hour. */
static void pending(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct req *r = objs[i];

		send_off(r);
		queue_delayed_work(system_wq, &r->retry, 3600 * HZ);
	}
}

/* The same on another CPU than ours, and on a list that was left. */
static void pending_on(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct req *r = objs[i];

		send_off(r);
		list_add(&r->queue, &gone);
		queue_delayed_work_on(1, system_wq, &r->retry, 60 * HZ);
		list_del_init(&r->queue);
	}
}

/* In the other CPU's wheel, days ahead. */
static void timer_elsewhere(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		enter(c);
		c->timer.expires = jiffies + (unsigned long)(i + 1) * 86400 * HZ;
		add_timer_on(&c->timer, 1);
	}
}

/* Off the list, and its timer is still to come. */
static void timer_off_list(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add(&c->list, &gone);
		enter(c);
		mod_timer(&c->timer, jiffies + 300 * HZ);
		list_del_init(&c->list);
	}
}

static void live_with_timers(struct leak *l, void **objs, int n)
{
	int i;

	live_conns(l, objs, n);
	for (i = 0; i < n; i++)
		mod_timer(&((struct conn *)objs[i])->timer, jiffies + 2000 * HZ);
}

struct leak waiting_leaks[] = {
	{ "thread-argument", REQ, 1, false, thread_argument },
	{ "completion", REQ, 1, true, completion_, live_reqs },
	{ "semaphore", REQ, 1, false, semaphore_ },
	{ "llist-taken", NODE, 3, false, llist_taken },
	{ "requeues", REQ, 3, false, requeues },
	{ "pending", REQ, 40, true, pending, live_reqs },
	{ "pending-on", REQ, 3, true, pending_on, live_reqs },
	{ "timer-elsewhere", CONN, 40, false, timer_elsewhere },
	{ "timer-off-list", CONN, 3, true, timer_off_list, live_with_timers },
	{ }
};
