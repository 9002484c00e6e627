// SPDX-License-Identifier: GPL-3.0-or-later
/* Lost objects with a pointer to them in memory that isn't in use: it holds nothing. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "plant.h"

/* In both ends of a freed object: its middle has the allocator's free pointer. */
static void plant_freed_object(struct plot *p)
{
	void **ends[MOST_PLANTS];
	unsigned int i;

	for_each_plant(p, i) {
		ends[i] = kzalloc(512, GFP_KERNEL);
		if (!ends[i])
			return;
		ends[i][1] = ends[i][62] = p->o[i];
	}
	for_each_plant(p, i) {
		no_holder(p, p->o[i], &ends[i][1], "freed-object");
		kfree(ends[i]);
	}
}

static void plant_freed_pages(struct plot *p)
{
	unsigned int order = p->variant == 2, i;
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, order);
	void **words = page ? page_address(page) : NULL;

	if (!words)
		return;
	words += (PAGE_SIZE << order) / sizeof(*words) / 2;
	for_each_plant(p, i) {
		words[i] = p->o[i];
		no_holder(p, p->o[i], &words[i], "freed-page");
	}
	__free_pages(page, order);
}

static void plant_freed_vmalloc(struct plot *p)
{
	void **words = vzalloc(4 * PAGE_SIZE);
	unsigned int i;

	if (!words)
		return;
	for_each_plant(p, i) {
		words[i] = p->o[i];
		no_holder(p, p->o[i], &words[i], "freed-vmalloc");
	}
	vfree(words);
}

/* What a thread was given is complemented, and taken over by it before its maker goes on. */
struct errand {
	unsigned long hidden[MOST_PLANTS];
	unsigned long where[MOST_PLANTS];
	unsigned int n;
	bool ends;
	struct completion done;
};
static struct errand errands[2][PLOTS_A_KIND];
static DECLARE_WAIT_QUEUE_HEAD(slabplant_never);

/* Deep down in the stack, then it returns: below it nothing is live any more. */
static noinline void leave_behind(struct errand *e, unsigned int depth)
{
	volatile unsigned long words[MOST_PLANTS];
	unsigned int i;

	if (depth) {
		leave_behind(e, depth - 1);
		barrier();
		return;
	}
	for (i = 0; i < e->n; i++) {
		words[i] = ~e->hidden[i];
		e->where[i] = (unsigned long)&words[i];
	}
	for (i = 0; i < MOST_PLANTS; i++)
		barrier_data((void *)&words[i]);
}

static int run_errand(void *data)
{
	struct errand *e = data;
	bool ends = e->ends;

	leave_behind(e, 12);
	complete(&e->done);
	if (!ends)
		wait_event(slabplant_never, false);
	return 0;
}

static void run_thread(struct plot *p, bool ends, const char *what)
{
	struct errand *e = &errands[ends][p->variant];
	struct task_struct *task;
	unsigned int i;

	e->n = p->n;
	e->ends = ends;
	init_completion(&e->done);
	for_each_plant(p, i)
		e->hidden[i] = hide(p->o[i]);
	task = kthread_run(run_errand, e, "plant_%s%u", ends ? "end" : "dead", p->variant);
	if (IS_ERR(task))
		return;
	wait_for_completion(&e->done);
	for_each_plant(p, i)
		no_holder(p, p->o[i], (void *)e->where[i], what);
}

static void plant_dead_stack(struct plot *p)
{
	run_thread(p, false, "dead-stack");
}

static void plant_ended_stack(struct plot *p)
{
	run_thread(p, true, "ended-stack");
	msleep(20);
}

/* In the data that a module gives back when it has been loaded. */
static void *slabplant_early[PLOTS_A_KIND][MOST_PLANTS] __initdata = { { (void *)1 } };

static void __ref plant_init_data(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_early[p->variant][i] = p->o[i];
		no_holder(p, p->o[i], &slabplant_early[p->variant][i], "init-data");
	}
}

static const struct kind early = {
	"trap:init-data", TAKEN_OFF, DEFINITE, .plant = plant_init_data
};

void __init trap_early(void)
{
	build_kind(&early);
}

const struct kind trap_kinds[] = {
	{ "trap:freed-object", TAKEN_OFF, DEFINITE, .plant = plant_freed_object },
	{ "trap:freed-page", TAKEN_OFF, DEFINITE, .plant = plant_freed_pages },
	{ "trap:freed-vmalloc", TAKEN_OFF, DEFINITE, .plant = plant_freed_vmalloc },
	{ "trap:dead-stack", TAKEN_OFF, DEFINITE, .plant = plant_dead_stack },
	{ "trap:ended-stack", NEVER_LINKED, DEFINITE, .plant = plant_ended_stack },
	{}
};
