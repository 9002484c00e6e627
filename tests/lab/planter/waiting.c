// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects that wait for something: a timer, a worker, a grace period, a wake-up, a close. */
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/version.h>

#include "plant.h"

static void plant_expired(struct timer_list *timer)
{
}

static void plant_timer(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		timer_setup(&p->o[i]->timer, plant_expired, 0);
		mod_timer(&p->o[i]->timer, jiffies + (3600 + 97 * i) * HZ);
		held(p, p->o[i], NULL, "plant_expired");
	}
}

static enum hrtimer_restart plant_hr_expired(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static void plant_hrtimer(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct hrtimer *t = &p->o[i]->hrtimer;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
		hrtimer_setup(t, plant_hr_expired, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
		hrtimer_init(t, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
		t->function = plant_hr_expired;
#endif
		hrtimer_start(t, ktime_set(3600 + i, 0), HRTIMER_MODE_REL);
		held(p, p->o[i], NULL, "plant_hr_expired");
	}
}

static void plant_worked(struct work_struct *work)
{
}

static void plant_delayed(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		INIT_DELAYED_WORK(&p->o[i]->dwork, plant_worked);
		schedule_delayed_work(&p->o[i]->dwork, (1800 + 31 * i) * HZ);
		held(p, p->o[i], NULL, "plant_worked");
	}
}

/* A queue that works in order, and never gets past its first work. */
static DECLARE_COMPLETION(slabplant_unblock);

static void plant_blocks(struct work_struct *work)
{
	wait_for_completion(&slabplant_unblock);
}

static struct work_struct slabplant_blocker[PLOTS_A_KIND];

static void plant_queued(struct plot *p)
{
	struct workqueue_struct *queue = keep(alloc_ordered_workqueue("plant%u", 0, p->variant));
	unsigned int i;

	if (!queue)
		return;
	INIT_WORK(&slabplant_blocker[p->variant], plant_blocks);
	queue_work(queue, &slabplant_blocker[p->variant]);
	for_each_plant(p, i) {
		INIT_WORK(&p->o[i]->work, plant_worked);
		queue_work(queue, &p->o[i]->work);
		held(p, p->o[i], NULL, "plant_worked");
	}
}

/*
 * A reader that never ends keeps every grace period waiting: it starts when all else is
 * done. It has the objects of held:running-stack on its stack.
 */
static struct {
	unsigned long hidden[MOST_PLANTS];
	unsigned long where[MOST_PLANTS];
	unsigned int n;
	struct completion runs;
} reader;

static int read_for_ever(void *unused)
{
	void *volatile mine[MOST_PLANTS];
	unsigned int i;

	for (i = 0; i < reader.n; i++) {
		mine[i] = shown(reader.hidden[i]);
		reader.where[i] = (unsigned long)&mine[i];
	}
	rcu_read_lock();
	complete(&reader.runs);
	while (!kthread_should_stop())
		cpu_relax();
	rcu_read_unlock();
	barrier_data((void *)mine);
	return 0;
}

void start_reader(void)
{
	static bool started;
	struct task_struct *task;

	if (started)
		return;
	started = true;
	init_completion(&reader.runs);
	task = kthread_create(read_for_ever, NULL, "plant_reader");
	if (IS_ERR(task))
		return;
	kthread_bind(task, num_online_cpus() - 1);
	wake_up_process(task);
	wait_for_completion(&reader.runs);
}

static void plant_freed_by_rcu(struct rcu_head *rcu)
{
}

static void plant_rcu(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		held(p, p->o[i], NULL, "plant_freed_by_rcu");
}

static void last_rcu(struct plot *p)
{
	unsigned int i;

	start_reader();
	for_each_plant(p, i)
		call_rcu(&((struct plant *)shown(p->hidden[i]))->rcu, plant_freed_by_rcu);
}

static void plant_running(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		if (reader.n == MOST_PLANTS)
			break;
		reader.hidden[reader.n++] = hide(p->o[i]);
		held(p, p->o[i], NULL, "read_for_ever");
	}
}

static void last_running(struct plot *p)
{
	unsigned int i;

	start_reader();
	for (i = 0; i < reader.n; i++)
		move_to(shown(reader.hidden[i]), (void *)reader.where[i]);
}

static DECLARE_WAIT_QUEUE_HEAD(slabplant_waiters);

static int plant_woken(struct wait_queue_entry *wait, unsigned int mode, int flags, void *key)
{
	return 0;
}

static void plant_wait(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		init_waitqueue_func_entry(&p->o[i]->wait, plant_woken);
		add_wait_queue(&slabplant_waiters, &p->o[i]->wait);
		held(p, p->o[i], NULL, "slabplant_waiters");
	}
}

/* A thread that sleeps with them on its stack; another whose start data they are. */
static struct sleeper {
	unsigned long hidden[MOST_PLANTS];
	unsigned long where[MOST_PLANTS];
	unsigned int n;
	struct completion sleeps;
} sleepers[PLOTS_A_KIND];

static int sleep_with_them(void *data)
{
	struct sleeper *s = data;
	void *volatile mine[MOST_PLANTS];
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		mine[i] = shown(s->hidden[i]);
		s->where[i] = (unsigned long)&mine[i];
	}
	complete(&s->sleeps);
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(3600 * HZ);
	for (i = 0; i < MOST_PLANTS; i++)
		barrier_data((void *)&mine[i]);
	return 0;
}

static void plant_stack(struct plot *p)
{
	struct sleeper *s = &sleepers[p->variant];
	struct task_struct *task;
	unsigned int i;

	s->n = p->n;
	init_completion(&s->sleeps);
	for_each_plant(p, i)
		s->hidden[i] = hide(p->o[i]);
	task = kthread_run(sleep_with_them, s, "plant_sleep%u", p->variant);
	if (IS_ERR(task))
		return;
	wait_for_completion(&s->sleeps);
	for_each_plant(p, i)
		held(p, p->o[i], (void *)s->where[i], "sleep_with_them");
}

static int sleep_for(void *data)
{
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(3600 * HZ);
	barrier_data(data);
	return 0;
}

static void plant_thread_data(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct task_struct *task = kthread_run(sleep_for, p->o[i], "plant_for%u", i);

		if (IS_ERR(task))
			return;
		held(p, p->o[i], NULL, "sleep_for");
	}
}

/* The private data of open files: of one that this module keeps, of one in a process's table. */
static const struct file_operations slabplant_fops = { .owner = THIS_MODULE };

static void plant_file(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct file *file = anon_inode_getfile("[slabplant]", &slabplant_fops, p->o[i],
						       O_RDONLY);

		if (IS_ERR(file))
			return;
		keep(file);
		held(p, p->o[i], &file->private_data, "file");
	}
}

static unsigned long opened_next, opened_where;

static int take_next(struct inode *inode, struct file *file)
{
	file->private_data = shown(opened_next);
	opened_where = (unsigned long)&file->private_data;
	return 0;
}

static const struct proc_ops slabplant_proc = { .proc_open = take_next };

static void plant_descriptor(struct plot *p)
{
	static char *sleeping[] = {
		"/bin/sh", "-c", "sleep 100000 < /proc/slabplant_open &", NULL,
	};
	static bool made;
	unsigned int i;

	made = made || proc_create("slabplant_open", 0400, NULL, &slabplant_proc);
	for_each_plant(p, i) {
		opened_next = hide(p->o[i]);
		opened_where = 0;
		run_program(sleeping, UMH_WAIT_PROC);
		msleep(100);
		if (opened_where)
			held(p, p->o[i], (void *)opened_where, "sleep");
	}
}

const struct kind waiting_kinds[] = {
	{ "held:timer", TAKEN_OFF, HELD, .plant = plant_timer },
	{ "held:hrtimer", TAKEN_OFF, HELD, .plant = plant_hrtimer },
	{ "held:delayed-work", TAKEN_OFF, HELD, .plant = plant_delayed },
	{ "held:queued-work", TAKEN_OFF, HELD, .plant = plant_queued },
	{ "held:rcu", DELETED, HELD, .plant = plant_rcu, .last = last_rcu },
	{ "held:running-stack", TAKEN_OFF, HELD, .most = 3, .plant = plant_running,
	  .last = last_running },
	{ "held:wait-queue", TAKEN_OFF, HELD, .plant = plant_wait },
	{ "held:stack", TAKEN_OFF, HELD, .plant = plant_stack },
	{ "held:thread-data", NEVER_LINKED, HELD, .most = 3, .plant = plant_thread_data },
	{ "held:file", INSERTED, HELD, NO_HEAD, .plant = plant_file },
	{ "held:descriptor", INSERTED, HELD, NO_HEAD, .most = 3, .plant = plant_descriptor },
	{}
};
