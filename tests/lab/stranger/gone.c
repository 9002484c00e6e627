// SPDX-License-Identifier: GPL-3.0-or-later
/* Planted by a module that is unloaded after that: its exit destroys the caches. */
#include <linux/vmalloc.h>
#include "stranger.h"

static struct thing *gone_things[8];
static struct hlist_head *gone_table;

static void plant_gone_list(struct plot *p, struct thing **objs)
{
	living_on_list(p, objs, p->n);
}

static void plant_gone_pointer(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		WRITE_ONCE(gone_things[i], objs[i]);
	}
}

static void plant_gone_table(struct plot *p, struct thing **objs)
{
	int i;

	gone_table = vzalloc(4096 * sizeof(*gone_table));
	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		hlist_add_head(&objs[i]->u.hnode, &gone_table[(i % 7) * 100]);
	}
}

static struct list_head *gone_head;

static void plant_gone_head(struct plot *p, struct thing **objs)
{
	int i;

	gone_head = kzalloc(8 * sizeof(*gone_head), GFP_KERNEL);
	INIT_LIST_HEAD(gone_head);
	for (i = 0; i < p->n; i++) {
		entered(p, objs[i]);
		list_add(&objs[i]->link, gone_head);
	}
}

static void plant_gone_delinit(struct plot *p, struct thing **objs)
{
	int i;

	living_on_list(p, objs, p->n);
	for (i = 0; i < p->n; i++)
		list_del_init(&objs[i]->link);
}

static void plant_gone_never(struct plot *p, struct thing **objs)
{
}

const struct kind gone_kinds[] = {
	{ "gone-list", plant_gone_list },
	{ "gone-pointer", plant_gone_pointer, .living = living_kept },
	{ "gone-table", plant_gone_table },
	{ "gone-head", plant_gone_head },
	{ "gone-delinit", plant_gone_delinit },
	{ "gone-never", plant_gone_never },
	{ }
};
