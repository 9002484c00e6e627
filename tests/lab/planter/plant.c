// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Makes the plots: caches, their objects, insertion and taking off, living twins.
 *
 * All is built when /proc/slabtest is first opened, not while the module loads: it loads
 * another module (slabgone) that needs this one whole.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "plant.h"

#define TWIN_OBJECTS 12

static char *scenario = "plants";
module_param(scenario, charp, 0444);
MODULE_PARM_DESC(scenario, "plants, many, thousand or quiet");

/* Living objects: those whose node is free for it, and the others. */
LIST_HEAD(slabplant_living);
DEFINE_XARRAY(slabplant_table);
static u64 serial = 0x5e71a1000;
static unsigned long table_next;

/* What an insertion's owner pointer points to. */
struct slabplant_owner {
	const char *what;
	unsigned long members;
} slabplant_owner = { .what = "owner" };

/* Not static: nobody reads it, and gcc would leave it out. */
void *slabplant_kept[2048];
static unsigned int nr_kept;

void *keep(void *p)
{
	if (p && nr_kept < ARRAY_SIZE(slabplant_kept))
		slabplant_kept[nr_kept++] = p;
	return p;
}

void run_program(char **argv, int wait)
{
	static char *environment[] = { "PATH=/bin", NULL };

	call_usermodehelper(argv[0], argv, environment, wait);
}

/* An unmergeable cache: all of it is open to usercopy. */
static struct kmem_cache *make(const char *name, unsigned int size)
{
	return kmem_cache_create_usercopy(name, size, 0, 0, 0, size, NULL);
}

static void fill(struct plot *p, struct plant *o, u32 id)
{
	memset(o, 0, p->size);
	memcpy(o->magic, "TNLP", 4);
	o->id = id;
	snprintf(o->name, sizeof(o->name), "plant-%u", id);
	o->state = NEW;
	refcount_set(&o->refs, 1);
	switch (p->kind->head) {
	case NODE:
	case CHILDREN:
		INIT_LIST_HEAD(&o->list);
		break;
	case MUTEX:
		mutex_init(&o->mutex);
		break;
	case WAITERS:
		init_waitqueue_head(&o->waiters);
		break;
	case NO_HEAD:
		break;
	}
}

void insert_traces(struct plot *p, struct plant *o)
{
	if (!p->traces)
		return;
	o->serial = ++serial;
	o->since = jiffies;
	o->owner = &slabplant_owner;
	o->state = LIVE;
	refcount_inc(&o->refs);
}

/* The insertion and the removal that this kind of object knows. */
void insert(struct plot *p, struct plant *o)
{
	insert_traces(p, o);
	if (p->kind->head == NODE)
		list_add_tail(&o->list, &slabplant_living);
	else
		xa_store(&slabplant_table, table_next++, o, GFP_KERNEL);
}

void take_off(struct plot *p, struct plant *o)
{
	if (p->kind->head == NODE)
		list_del_init(&o->list);
	else
		xa_erase(&slabplant_table, --table_next);
	if (!p->traces)
		return;
	o->state = DYING;
	refcount_dec(&o->refs);
}

static void prepare(struct plot *p, struct plant *o, u32 id)
{
	if (p->kind->history == NEVER_WRITTEN) {
		memset(o, 0, p->size);
		return;
	}
	fill(p, o, id);
	switch (p->kind->history) {
	case TAKEN_OFF:
	case TAKEN_OFF_RESET:
		insert(p, o);
		take_off(p, o);
		break;
	case DELETED:
		insert(p, o);
		list_del(&o->list);
		if (p->traces)
			o->state = DYING;
		break;
	case HALF_INSERTED:
		if (p->traces) {
			o->serial = ++serial;
			o->since = jiffies;
		}
		break;
	case INSERTED:
	case DROPPED:
	case HEAD_GONE:
		insert_traces(p, o);
		break;
	default:
		break;
	}
	if (p->kind->history == TAKEN_OFF_RESET && p->traces) {
		o->serial = 0;
		o->since = 0;
		o->owner = NULL;
		o->state = NEW;
		refcount_set(&o->refs, 1);
	}
}

/* Allocates the plot's objects with others between them, which are freed again. */
static bool sow(struct plot *p)
{
	void *between[MOST_PLANTS] = {};
	unsigned int i;
	bool whole = true;

	for_each_plant(p, i) {
		between[i] = kmem_cache_alloc(p->cache, GFP_KERNEL);
		p->o[i] = kmem_cache_alloc(p->cache, GFP_KERNEL);
		whole = whole && p->o[i];
	}
	for_each_plant(p, i) {
		if (between[i])
			kmem_cache_free(p->cache, between[i]);
		if (whole)
			prepare(p, p->o[i], i);
	}
	return whole;
}

static void grow_living(struct plot *p, struct kmem_cache *cache)
{
	unsigned int i;

	for (i = 0; i < TWIN_OBJECTS; i++) {
		struct plant *o = kmem_cache_alloc(cache, GFP_KERNEL);

		if (!o)
			continue;
		fill(p, o, 1000 + i);
		insert(p, o);
		living(p, o);
	}
}

static struct plot *new_plot(const struct kind *kind, unsigned int variant)
{
	static const unsigned int counts[PLOTS_A_KIND] = { 1, 3, MOST_PLANTS, 3 };
	static unsigned int salt;
	struct plot *p = keep(kzalloc(sizeof(*p), GFP_KERNEL));
	char *c;

	if (!p)
		return NULL;
	p->kind = kind;
	p->variant = variant;
	p->n = counts[variant];
	if (kind->most)
		p->n = min(p->n, kind->most);
	p->leftover = variant < 3 && !kind->heap;
	p->twin = variant == 1 || variant == 2;
	p->traces = variant == 1 || variant == 3 || (variant == 0 && salt % 2);
	p->size = sizeof(struct plant) + salt++ % 5 * 16;
	snprintf(p->name, sizeof(p->name), "%s_%u", kind->name, variant);
	for (c = p->name; *c; c++)
		if (*c == ':' || *c == '-')
			*c = '_';
	return p;
}

static void build_plot(const struct kind *kind, unsigned int variant)
{
	struct plot *p = new_plot(kind, variant);
	unsigned int i;

	if (!p)
		return;
	if (!kind->heap) {
		p->cache = make(p->name, p->size);
		if (!p->cache)
			return;
	}
	note_plot(p);
	if (!kind->heap && !sow(p))
		return;
	if (kind->plant)
		kind->plant(p);
	else if (kind->loss != HELD)
		for_each_plant(p, i)
			lost(p, p->o[i], kind->loss);
	for_each_plant(p, i)
		p->hidden[i] = hide(p->o[i]);
	memset(p->o, 0, sizeof(p->o));
	if (kind->heap)
		return;
	if (p->leftover)
		kmem_cache_destroy(p->cache);
	if (kind->after)
		kind->after(p);
	if (p->twin)
		p->twin_cache = make(p->name, p->size);
	if (p->twin_cache)
		grow_living(p, p->twin_cache);
	if (!p->leftover)
		grow_living(p, p->cache);
}

void build_kind(const struct kind *kind)
{
	unsigned int variant;

	for (variant = 0; variant < PLOTS_A_KIND; variant++)
		build_plot(kind, variant);
}

static void build_plants(void)
{
	static const struct kind *const all[] = {
		lost_kinds, group_kinds, heap_kinds, trap_kinds, list_kinds, index_kinds,
		waiting_kinds, memory_kinds, hidden_kinds, more_lost_kinds, owner_kinds,
	};
	const struct kind *kind;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (kind = all[i]; kind->name; kind++)
			build_kind(kind);
	rcu_barrier();
	for (i = 0; i < nr_plots(); i++)
		if (plot(i)->kind->last)
			plot(i)->kind->last(plot(i));
}

void build_all(void)
{
	if (!strcmp(scenario, "plants"))
		build_plants();
	else if (!strcmp(scenario, "many"))
		build_many();
	else if (!strcmp(scenario, "thousand"))
		build_thousand();
}

static int __init slabplant_init(void)
{
	int error = account_init();

	if (!error && !strcmp(scenario, "plants"))
		trap_early();
	return error;
}

/* Never unloaded by the lab: planted objects lie in its data. */
module_init(slabplant_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("objects lost and held in known ways, with an account of each");
