// SPDX-License-Identifier: GPL-3.0-or-later
/* Held by something that will call back: timers, work, RCU, wait queues, notifiers. */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/srcu.h>
#include "stranger.h"

static void expire_thing(struct timer_list *timer)
{
	pr_info("expired %px\n", timer);
}

static void plant_timer(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		timer_setup(&objs[i]->u.timer, expire_thing, 0);
		mod_timer(&objs[i]->u.timer, jiffies + (600 + 7 * i) * HZ);
	}
}

static enum hrtimer_restart tick_thing(struct hrtimer *timer)
{
	pr_info("tick %px\n", timer);
	return HRTIMER_NORESTART;
}

static void plant_hrtimer(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		struct hrtimer *timer = &objs[i]->u.hrtimer;

		entered(p, objs[i]);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
		hrtimer_setup(timer, tick_thing, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
		hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
		timer->function = tick_thing;
#endif
		hrtimer_start(timer, ktime_set(3600 + i, 0), HRTIMER_MODE_REL);
	}
}

static void flush_thing(struct work_struct *work)
{
	pr_info("flush %px\n", work);
}

static struct workqueue_struct *slow;

static void wait_for_ever(struct work_struct *work)
{
	for (;;)
		schedule_timeout_idle(HZ * 1000);
}

static DECLARE_WORK(stopper, wait_for_ever);

static void plant_dwork(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		INIT_DELAYED_WORK(&objs[i]->u.dwork, flush_thing);
		schedule_delayed_work(&objs[i]->u.dwork, (1000 + i) * HZ);
	}
}

static void plant_work(struct plot *p, struct thing **objs)
{
	int i;

	if (!slow) {
		slow = alloc_ordered_workqueue("st_slow", 0);
		queue_work(slow, &stopper);
	}
	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		INIT_WORK(&objs[i]->u.work, flush_thing);
		queue_work(slow, &objs[i]->u.work);
	}
}

static void plant_running(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	INIT_WORK(&objs[0]->u.work, wait_for_ever);
	queue_work(system_unbound_wq, &objs[0]->u.work);
	msleep(50);
}

static wait_queue_head_t doorbells[PLOTS];

static int ring_thing(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	return 0;
}

static void plant_wait(struct plot *p, struct thing **objs)
{
	int i;

	init_waitqueue_head(&doorbells[p->ix]);
	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		init_waitqueue_func_entry(&objs[i]->u.wait, ring_thing);
		add_wait_queue(&doorbells[p->ix], &objs[i]->u.wait);
	}
}

static struct atomic_notifier_head chains[PLOTS];
static BLOCKING_NOTIFIER_HEAD(blocking_chain);

static int notify_thing(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static void plant_notifier(struct plot *p, struct thing **objs)
{
	int i;

	ATOMIC_INIT_NOTIFIER_HEAD(&chains[p->ix]);
	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		objs[i]->u.nb.notifier_call = notify_thing;
		atomic_notifier_chain_register(&chains[p->ix], &objs[i]->u.nb);
	}
}

static void plant_blocking(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		objs[i]->u.nb.notifier_call = notify_thing;
		blocking_notifier_chain_register(&blocking_chain, &objs[i]->u.nb);
	}
}

DEFINE_STATIC_SRCU(thing_srcu);

static void free_thing_rcu(struct rcu_head *head)
{
	pr_info("free %px\n", head);
}

void plant_bare(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++)
		entered(p, objs[i]);
}

static void after_srcu(struct plot *p, struct thing **objs)
{
	int i;

	(void)srcu_read_lock(&thing_srcu);	/* for good */
	for (i = 0; i < p->n; i++)
		call_srcu(&thing_srcu, &objs[i]->u.rcu, free_thing_rcu);
}

/* A reader that never ends, so that no grace period does. */
static int reader(void *unused)
{
	rcu_read_lock();
	preempt_disable();
	for (;;)
		cpu_relax();
	return 0;
}

void stop_grace_periods(void)
{
	static struct task_struct *task;

	if (task)
		return;
	task = kthread_create(reader, NULL, "st_reader");
	kthread_bind(task, 1);
	wake_up_process(task);
	msleep(100);
}

static void after_rcu(struct plot *p, struct thing **objs)
{
	int i;

	stop_grace_periods();
	for (i = 0; i < p->n; i++)
		call_rcu(&objs[i]->u.rcu, free_thing_rcu);
}

static void after_kfree_rcu(struct plot *p, struct thing **objs)
{
	int i;

	stop_grace_periods();
	for (i = 0; i < p->n; i++)
		kfree_rcu(objs[i], u.rcu);
}

const struct kind callback_kinds[] = {
	{ "timer", plant_timer },
	{ "hrtimer", plant_hrtimer },
	{ "dwork", plant_dwork },
	{ "work", plant_work },
	{ "running", plant_running },
	{ "wait", plant_wait },
	{ "notifier", plant_notifier },
	{ "notifier-blocking", plant_blocking },
	{ "srcu", plant_bare, after_srcu },
	{ "rcu", plant_bare, after_rcu, .last = true },
	{ "kfree-rcu", plant_bare, after_kfree_rcu, .last = true },
	{ }
};
