// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * slabtest: leaves slab caches behind on purpose and keeps account of every object.
 *
 * insmod slabtest.ko scenario=leak[,ctor,...] builds the scenarios; reading
 * /proc/slabtest gives the ground truth, one record a line (the shapes are at the
 * print functions below, tests/lab/truth.py reads them).
 *
 * What is recorded is what this module did, never what the allocator thinks of it:
 * the account stays right where a kernel, or a reader of its dump, is wrong.
 */
#include <linux/cpumask.h>
#include <linux/crc32.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#define MAX_CACHES 96
#define MAX_RECORDS 40000
#define HEAP_SIZE 48
#define HEX_MAX 128
#define LIVE_ID 100000 /* ids of live objects start here, of leaked ones at 0 */

static char *scenario = "leak";
module_param(scenario, charp, 0444);
MODULE_PARM_DESC(scenario, "scenarios to build, separated by commas or plus signs");

/* The object of the report that started it all: 84 bytes, a list head at +0x20. */
struct slabtest_obj {
	char magic[4];		/* 0x00 "KCAJ" */
	u32 id;			/* 0x04 */
	char name[24];		/* 0x08 */
	struct list_head list;	/* 0x20 */
	void *heap;		/* 0x30 a kmalloc'ed buffer */
	const void *ops;	/* 0x38 a symbol of this module */
	u32 counters[5];	/* 0x40 */
} __packed;

enum state { LEAKED, LIVE, FREED, LATE };
static const char * const state_names[] = { "leaked", "live", "freed", "late" };

/* of the object's list head: there is none, it points to itself, ... */
enum list { NONE, SELF, LINKED, DELETED, HEADLESS };
static const char * const list_names[] = { "none", "self", "live", "deleted", "headless" };

struct tcache {
	const char *name;
	const char *role;
	struct kmem_cache *s;
	unsigned int objsize;
	slab_flags_t flags;
	void (*ctor)(void *);
	int refcount;		/* creates - destroys: what the kernel's must be */
};

/*
 * Addresses are kept complemented: who looks for references to an object in the dump
 * must not find this account.
 */
struct record {
	unsigned long addr;
	unsigned long heap;
	u32 id;
	u8 state;
	u8 cache;
	u8 node;
	u8 list;
};

/* Why a cache's objects stayed behind: what `slabwhy` has to say, and nothing else. */
struct cause {
	const struct tcache *of;
	const char *what;
};

/* A pointer to an object that is meant to be found: where it is. */
struct reference {
	struct record *to;
	void *holder;
};

static struct tcache caches[MAX_CACHES];
static unsigned int nr_caches;
static struct record *records;
static unsigned int nr_records;
static struct reference references[32];
static unsigned int nr_references;
static struct cause causes[16];
static unsigned int nr_causes;
static char notes[32][120];
static unsigned int nr_notes;

/* `big` has too many objects for a record each; complemented, too */
static unsigned long *big_objects;
static unsigned int big_total;
static struct tcache *big_cache;

LIST_HEAD(slabtest_live_list);
static unsigned long ctor_calls;

/* The last object that `refs` handed out: forgotten there. */
void *slabtest_last;

/* What slabtest_obj.ops points to; exported through kallsyms only. */
const struct slabtest_ops {
	const char *what;
} slabtest_ops = { .what = "slabtest operations" };

static void slabtest_ctor(void *object)
{
	ctor_calls++;
}

#define note(...)								\
	do {									\
		if (nr_notes < ARRAY_SIZE(notes))				\
			snprintf(notes[nr_notes++], sizeof(notes[0]), __VA_ARGS__); \
	} while (0)

static unsigned long hide(void *p)
{
	return ~(unsigned long)p;
}

static void *object_of(const struct record *r)
{
	return (void *)~r->addr;
}

static struct list_head *list_of(const struct record *r)
{
	return (void *)(~r->addr + offsetof(struct slabtest_obj, list));
}

static bool has_list(const struct record *r)
{
	return caches[r->cache].objsize >= sizeof(struct slabtest_obj);
}

static void run_on(unsigned int cpu)
{
	if (cpu_online(cpu))
		set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

static struct tcache *add_cache(struct tcache c)
{
	unsigned int i;

	if (!c.s || nr_caches == MAX_CACHES) {
		note("%s %s: kmem_cache_create failed", c.name, c.role);
		return NULL;
	}
	c.refcount = 1;
	for (i = 0; i < nr_caches; i++)
		if (caches[i].s == c.s) {
			note("%s %s: merged into %s %s", c.name, c.role, caches[i].name,
			     caches[i].role);
			c.refcount = ++caches[i].refcount;
		}
	caches[nr_caches] = c;
	return &caches[nr_caches++];
}

/*
 * A cache that no other will be merged with: by its ctor, its flags, or else by
 * declaring all of it open to usercopy.
 */
static struct tcache *make(const char *name, const char *role, unsigned int size,
			   slab_flags_t flags, void (*ctor)(void *))
{
	struct tcache c = { .name = name, .role = role, .objsize = size, .flags = flags,
			    .ctor = ctor };

	if (ctor || flags & SLAB_TYPESAFE_BY_RCU)
		c.s = kmem_cache_create(name, size, 0, flags, ctor);
	else
		c.s = kmem_cache_create_usercopy(name, size, 0, flags, 0, size, NULL);
	return add_cache(c);
}

/* One that may be merged. */
static struct tcache *make_mergeable(const char *name, const char *role, unsigned int size)
{
	struct tcache c = { .name = name, .role = role, .objsize = size };

	c.s = kmem_cache_create(name, size, 0, 0, NULL);
	return add_cache(c);
}

static void fill(struct tcache *c, void *object, u32 id, struct record *r)
{
	struct slabtest_obj *o = object;
	unsigned int i, from = sizeof(*o);

	memcpy(o->magic, "KCAJ", 4);
	if (c->objsize >= 8)
		o->id = id;
	if (c->objsize < sizeof(*o)) {
		from = 8;
	} else {
		snprintf(o->name, sizeof(o->name), "%s-%u", c->name, id);
		INIT_LIST_HEAD((struct list_head *)((char *)o + offsetof(struct slabtest_obj, list)));
		o->heap = kmalloc(HEAP_SIZE, GFP_KERNEL);
		if (o->heap)
			memset(o->heap, 'h', HEAP_SIZE);
		r->heap = hide(o->heap);
		r->list = SELF;
		o->ops = &slabtest_ops;
		for (i = 0; i < ARRAY_SIZE(o->counters); i++)
			o->counters[i] = id * (i + 1);
	}
	for (i = from; i < c->objsize; i++)
		((u8 *)object)[i] = id * 31 + i * 7;
}

/* node < 0: wherever the kernel likes */
static struct record *alloc(struct tcache *c, u32 id, int node)
{
	struct record *r;
	void *object;

	if (nr_records == MAX_RECORDS)
		return NULL;
	object = node < 0 ? kmem_cache_alloc(c->s, GFP_KERNEL)
			  : kmem_cache_alloc_node(c->s, GFP_KERNEL | __GFP_THISNODE, node);
	if (!object) {
		note("%s %s: no memory for %u on node %d", c->name, c->role, id, node);
		return NULL;
	}
	r = &records[nr_records++];
	*r = (struct record){ .addr = hide(object), .heap = hide(NULL), .id = id,
			      .cache = c - caches, .state = LEAKED };
	r->node = page_to_nid(virt_to_page(object));
	fill(c, object, id, r);
	return r;
}

static void link_live(struct record *r)
{
	r->state = LIVE;
	if (!has_list(r))
		return;
	list_add_tail(list_of(r), &slabtest_live_list);
	r->list = LINKED;
}

static void unlink_live(struct record *r)
{
	list_del(list_of(r));
	r->list = DELETED;
}

static void release(struct record *r)
{
	if (r->state >= FREED)
		return;
	if (r->list == LINKED)
		unlink_live(r);
	kfree((void *)~r->heap);
	r->heap = hide(NULL);
	kmem_cache_free(caches[r->cache].s, object_of(r));
	r->list = NONE;
	r->state = FREED;
}

static void destroy(struct tcache *c)
{
	c->refcount--;
	kmem_cache_destroy(c->s);
}

/* Allocates count objects, frees all but each step'th, destroys: they stay behind. */
static void leave_behind(struct tcache *c, unsigned int count, unsigned int step)
{
	unsigned int first = nr_records, i;

	if (!c)
		return;
	for (i = 0; i < count; i++)
		alloc(c, i, -1);
	for (i = first; i < nr_records; i++)
		if ((i - first) % step != step / 2)
			release(&records[i]);
	destroy(c);
}

/*
 * Live objects everywhere a kernel keeps them: on both CPUs' current slabs, on their
 * partial ones (or sheaves), on the node's partial list, in full slabs.
 */
static void keep(struct tcache *c, unsigned int count)
{
	unsigned int first = nr_records, i, n;

	if (!c)
		return;
	for (i = 0; i < count; i++) {
		struct record *r;

		run_on(i * 4 / count % 2);
		r = alloc(c, LIVE_ID + i, -1);
		if (r)
			link_live(r);
	}
	n = nr_records - first;
	/* the second quarter stays whole: full slabs */
	for (i = 0; i < n; i++) {
		if (i * 4 / n == 1)
			continue;
		run_on(i % 3 == 0);
		if (i * 4 / n == 0 ? i % 2 : i % 5 == 0)
			release(&records[first + i]);
	}
	run_on(0);
}

/* The two halves of `leak`, with the module loaded anew in between, or not. */
static void build_left(void)
{
	leave_behind(make("slab_test", "leftover", sizeof(struct slabtest_obj),
			  SLAB_HWCACHE_ALIGN, slabtest_ctor), 200, 41);
}

static void build_again(void)
{
	keep(make("slab_test", "live", sizeof(struct slabtest_obj),
		  SLAB_HWCACHE_ALIGN, slabtest_ctor), 700);
}

static void build_leak(void)
{
	build_left();
	build_again();
}

static void build_sizes(void)
{
	static const struct {
		unsigned int size;
		const char *name;
	} table[] = {
		{ 8, "slab_sz_8" }, { 16, "slab_sz_16" }, { 24, "slab_sz_24" },
		{ 40, "slab_sz_40" }, { 64, "slab_sz_64" }, { 84, "slab_sz_84" },
		{ 96, "slab_sz_96" }, { 128, "slab_sz_128" }, { 192, "slab_sz_192" },
		{ 256, "slab_sz_256" }, { 512, "slab_sz_512" }, { 1000, "slab_sz_1000" },
		{ 2048, "slab_sz_2048" }, { 3000, "slab_sz_3000" }, { 4096, "slab_sz_4096" },
		{ 5000, "slab_sz_5000" }, { 8192, "slab_sz_8192" }, { 9000, "slab_sz_9000" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		unsigned int count = clamp_t(unsigned int, 3 * 16384 / table[i].size, 12, 1600);

		leave_behind(make(table[i].name, "leftover", table[i].size, 0, NULL),
			     count, clamp_t(unsigned int, count / 12, 3, 61));
	}
}

static void build_ctor(void)
{
	leave_behind(make("slab_ctor", "leftover", 40, 0, slabtest_ctor), 300, 29);
	keep(make("slab_ctor", "live", 40, 0, slabtest_ctor), 400);
	leave_behind(make("slab_ctor_big", "leftover", 1500, 0, slabtest_ctor), 80, 13);
}

static void build_rcu(void)
{
	leave_behind(make("slab_rcu", "leftover", 120, SLAB_TYPESAFE_BY_RCU, NULL), 200, 23);
	keep(make("slab_rcu", "live", 120, SLAB_TYPESAFE_BY_RCU, NULL), 300);
	leave_behind(make("slab_rcu_ctor", "leftover", 264, SLAB_TYPESAFE_BY_RCU, slabtest_ctor),
		     100, 17);
}

/* Keeps whole slabs: frees what lies in a page that isn't wholly ours. */
static void keep_full_slabs(unsigned int first, unsigned int also_step)
{
	unsigned int i, j, most = 0;

	for (i = first; i < nr_records; i++) {
		struct page *page = virt_to_head_page(object_of(&records[i]));
		unsigned int count = 0;

		for (j = first; j < nr_records; j++)
			count += virt_to_head_page(object_of(&records[j])) == page;
		most = max(most, count);
		records[i].id = count; /* lent; the object itself has the real one */
	}
	for (i = first; i < nr_records; i++) {
		bool full = records[i].id == most;

		records[i].id = i - first;
		if (!full && (!also_step || (i - first) % also_step))
			release(&records[i]);
	}
	note("%s %s: %u objects in a full slab", caches[records[first].cache].name,
	     caches[records[first].cache].role, most);
}

static void build_full(void)
{
	struct tcache *c = make("slab_full", "leftover", 400, 0, NULL);
	unsigned int first = nr_records, i;

	if (c) {
		for (i = 0; i < 150; i++)
			alloc(c, i, -1);
		keep_full_slabs(first, 3);
		/* and beside them partly filled ones */
		first = nr_records;
		for (i = 150; i < 230; i++)
			alloc(c, i, -1);
		for (i = first; i < nr_records; i++)
			if (i % 7)
				release(&records[i]);
		destroy(c);
	}
	/* nothing on any list: not one object in the log's report */
	c = make("slab_full_only", "leftover", 240, 0, NULL);
	first = nr_records;
	if (c) {
		for (i = 0; i < 200; i++)
			alloc(c, i, -1);
		keep_full_slabs(first, 0);
		destroy(c);
	}
}

static void build_numa(void)
{
	struct tcache *c = make("slab_numa", "leftover", 104, 0, NULL);
	unsigned int first = nr_records, i;

	if (c) {
		for (i = 0; i < 400; i++)
			alloc(c, i, i % nr_online_nodes);
		for (i = first; i < nr_records; i++)
			if ((i - first) % 18 > 1)
				release(&records[i]);
		destroy(c);
	}
	/* one whose first node is clean: only node 1 holds it back */
	c = make("slab_numa1", "leftover", 320, 0, NULL);
	first = nr_records;
	if (c) {
		for (i = 0; i < 120; i++)
			alloc(c, i, i % nr_online_nodes);
		for (i = first; i < nr_records; i++)
			if (records[i].node != nr_online_nodes - 1 || (i - first) % 11 != 7)
				release(&records[i]);
		destroy(c);
	}
	c = make("slab_numa", "live", 104, 0, NULL);
	first = nr_records;
	if (c) {
		for (i = 0; i < 300; i++)
			alloc(c, LIVE_ID + i, i % nr_online_nodes);
		for (i = first; i < nr_records; i++)
			if ((i - first) % 4 == 3)
				release(&records[i]);
			else
				link_live(&records[i]);
	}
}

static void build_twins(void)
{
	struct tcache *a = make("slab_twin", "live", 60, 0, slabtest_ctor);
	struct tcache *b = make("slab_twin", "live2", 60, 0, slabtest_ctor);

	keep(a, 200);
	keep(b, 300);
}

/*
 * The ways in which an object stays behind, 84 bytes each, over several slabs. Every
 * 12th stays (id / 12): 0-2 never linked; 3-5 taken off the list and forgotten; 6, 7
 * still on a list; 8 held by a global pointer; 9 by a live object's heap pointer.
 */
static void build_refs(void)
{
	struct tcache *keeper = make("slab_keeper", "live", 84, 0, slabtest_ctor);
	struct tcache *c = make("slab_refs", "leftover", 84, 0, slabtest_ctor);
	unsigned int first, i;
	struct slabtest_obj *o;
	struct record *kept;

	kept = keeper ? alloc(keeper, LIVE_ID, -1) : NULL;
	if (!c || !kept)
		return;
	link_live(kept);
	first = nr_records;
	for (i = 0; i < 120; i++)
		alloc(c, i, -1);
	for (i = first; i < nr_records; i++) {
		struct record *r = &records[i];
		unsigned int way = r->id / 12;

		if (r->id % 12) {
			release(r);
			continue;
		}
		if (way >= 3 && way <= 7)
			link_live(r);
		if (way >= 3 && way <= 5)
			unlink_live(r);
		r->state = LEAKED;
		if (way == 8) {
			slabtest_last = object_of(r);
			references[nr_references++] = (struct reference){ r, &slabtest_last };
		}
		if (way == 9) {
			o = object_of(kept);
			kfree(o->heap);
			o->heap = object_of(r);
			kept->heap = hide(NULL); /* not a buffer to be freed any more */
			references[nr_references++] = (struct reference){ r, &o->heap };
		}
	}
	destroy(c);
}

/*
 * One cache a cause. Each has a living twin of the same name, so that there is something
 * to compare with; `each` does to an object what made it stay.
 */
static void plant(const char *name, const char *what, void (*each)(struct record *))
{
	struct tcache *c = make(name, "leftover", sizeof(struct slabtest_obj), 0, NULL);
	unsigned int first = nr_records, last, i;

	if (!c)
		return;
	for (i = 0; i < 180; i++)
		alloc(c, i, -1);
	last = nr_records; /* each() may add records of its own */
	for (i = first; i < last; i++) {
		if ((i - first) % 20 != 11) {
			release(&records[i]);
			continue;
		}
		if (each)
			each(&records[i]);
		if (records[i].state < FREED)
			records[i].state = LEAKED;
	}
	causes[nr_causes++] = (struct cause){ c, what };
	destroy(c);
	keep(make(name, "live", sizeof(struct slabtest_obj), 0, NULL), 120);
}

/* Taken off its list, and then neither freed nor handed on. */
static void cause_forgotten(struct record *r)
{
	link_live(r);
	unlink_live(r);
}

/* On a list that is still in use. */
static void cause_listed(struct record *r)
{
	link_live(r);
}

/* An object of another cache: one list head, one pointer, and nothing else that is ours. */
struct slabtest_owner {
	u64 number;
	struct list_head members;
	u64 filler[10];		/* a free pointer lies in the middle of an object */
	void *child;
};

static struct tcache *owners;
static struct slabtest_owner *owner;

static struct slabtest_owner *new_owner(void)
{
	struct slabtest_owner *o = kmem_cache_alloc(owners->s, GFP_KERNEL);

	if (o) {
		memset(o, 0, sizeof(*o));
		INIT_LIST_HEAD(&o->members);
	}
	return o;
}

static struct record *record_of(void *object)
{
	unsigned int i;

	for (i = nr_records; i-- > 0; )
		if (records[i].addr == hide(object) && records[i].state < FREED)
			return &records[i];
	return NULL;
}

static void account_for(void *object, u32 id)
{
	struct record *r = &records[nr_records++];

	*r = (struct record){ .addr = hide(object), .heap = hide(NULL), .id = LIVE_ID + id,
			      .cache = owners - caches, .state = LIVE, .list = NONE };
	r->node = page_to_nid(virt_to_page(object));
}

/* On a list whose head has been freed: see build_causes(). */
static void cause_headless(struct record *r)
{
	list_add_tail(list_of(r), &owner->members);
	r->list = HEADLESS;
}

/* Taken off its list; the pointer of an object that lives on was never cleared. */
static void cause_held(struct record *r)
{
	struct slabtest_owner *o = new_owner();

	cause_forgotten(r);
	if (!o)
		return;
	account_for(o, r->id);
	o->child = object_of(r);
	references[nr_references++] = (struct reference){ r, &o->child };
}

/*
 * As above, but the object that has the pointer will be freed: when all is planted, so that
 * none of them is handed out again.
 */
static struct slabtest_owner *doomed[16];
static unsigned int nr_doomed;

static void cause_orphaned(struct record *r)
{
	struct slabtest_owner *o = new_owner();

	cause_forgotten(r);
	if (!o)
		return;
	o->child = object_of(r);
	doomed[nr_doomed++] = o;
}

/* As the allocator handed it out. */
static void cause_unwritten(struct record *r)
{
	void *object;

	release(r);
	object = kmem_cache_alloc(caches[r->cache].s, GFP_KERNEL);
	r->addr = hide(object);
	r->state = LEAKED;
	r->list = NONE;
	r->node = page_to_nid(virt_to_page(object));
}

/* All was freed in the end, but only after the destroy. */
static void free_late(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_records; i++)
		if (records[i].state == LEAKED &&
		    !strcmp(caches[records[i].cache].name, name)) {
			release(&records[i]);
			records[i].state = LATE;
		}
}

static void build_causes(void)
{
	struct slabtest_owner *kept;
	unsigned int i;

	owners = make("slab_owner", "live", sizeof(struct slabtest_owner), 0, NULL);
	kept = owners ? new_owner() : NULL;
	owner = kept ? new_owner() : NULL;
	if (!owner)
		return;
	account_for(kept, 0);
	doomed[nr_doomed++] = owner;
	plant("slab_never", "never linked", NULL);
	plant("slab_forgot", "forgotten", cause_forgotten);
	plant("slab_listed", "still listed", cause_listed);
	plant("slab_held", "held", cause_held);
	plant("slab_blank", "never written", cause_unwritten);
	plant("slab_nohead", "no head", cause_headless);
	plant("slab_orphan", "held by freed", cause_orphaned);
	plant("slab_late", "freed late", NULL);
	free_late("slab_late");
	for (i = 0; i < nr_doomed; i++)
		kmem_cache_free(owners->s, doomed[i]);
}

/* To 6.11 the second create takes the leftover over; since 6.12 it makes a new cache. */
static void build_merge(void)
{
	leave_behind(make_mergeable("slab_merge", "leftover", 1000), 60, 19);
	keep(make_mergeable("slab_merge", "live", 1000), 60);
}

static void build_debug(void)
{
	leave_behind(make("slab_dbg", "leftover", 96, 0, NULL), 130, 19);
	keep(make("slab_dbg", "live", 96, 0, NULL), 300);
	leave_behind(make("slab_dbg_ctor", "leftover", 84, SLAB_HWCACHE_ALIGN, slabtest_ctor),
		     100, 21);
	leave_behind(make("slab_dbg_rcu", "leftover", 1000, SLAB_TYPESAFE_BY_RCU, NULL), 60, 13);
}

static void build_big(void)
{
	unsigned int i;

	leave_behind(make("slab_big", "leftover", 64, 0, NULL), 130, 50);
	big_cache = make("slab_big", "live", 64, 0, NULL);
	big_objects = vzalloc(1500000 * sizeof(*big_objects));
	if (!big_cache || !big_objects)
		return;
	for (i = 0; i < 1500000; i++) {
		struct record r = {};
		void *object = kmem_cache_alloc(big_cache->s, GFP_KERNEL);

		if (!object)
			break;
		fill(big_cache, object, (unsigned long)object >> 6, &r);
		big_objects[i] = hide(object);
		if (i % 1024 == 0)
			cond_resched();
	}
	big_total = i;
	/* by place, not by age: each slab loses a third and none empties */
	for (i = 0; i < big_total; i++)
		if ((~big_objects[i] >> 6) % 64 % 3 == 1) {
			kmem_cache_free(big_cache->s, (void *)~big_objects[i]);
			big_objects[i] = hide(NULL);
		}
}

static const struct {
	const char *name;
	void (*build)(void);
} scenarios[] = {
	{ "leak", build_leak }, { "sizes", build_sizes }, { "ctor", build_ctor },
	{ "rcu", build_rcu }, { "full", build_full }, { "numa", build_numa },
	{ "twins", build_twins }, { "debug", build_debug }, { "big", build_big },
	{ "refs", build_refs }, { "merge", build_merge }, { "left", build_left },
	{ "again", build_again }, { "causes", build_causes },
};

/* T cache NAME ROLE kmem_cache objsize flags ctor refcount */
static void show_cache(struct seq_file *m, const struct tcache *c)
{
	seq_printf(m, "T cache %s %s %px %u %x %px %d\n", c->name, c->role, c->s, c->objsize,
		   (__force unsigned int)c->flags, c->ctor, c->refcount);
}

/*
 * T obj NAME ROLE STATE address node id          and, while it is allocated,
 *     list(self|live|deleted|headless|none) heap crc32 hex(the first 128 bytes)
 */
static void show_record(struct seq_file *m, const struct record *r)
{
	const struct tcache *c = &caches[r->cache];
	char *object = object_of(r);

	seq_printf(m, "T obj %s %s %s %px %u %u", c->name, c->role, state_names[r->state],
		   object, r->node, r->id);
	if (r->state < FREED) {
		seq_printf(m, " %s %lx %08x %*phN", list_names[r->list], ~r->heap,
			   ~crc32_le(~0, object, c->objsize),
			   (int)min(c->objsize, 64u), object);
		if (c->objsize > 64)
			seq_printf(m, "%*phN", (int)min(c->objsize - 64, HEX_MAX - 64u),
				   object + 64);
	}
	seq_putc(m, '\n');
}

/*
 * T page NAME ROLE STATE address stride bitmap: bit i is the object at address + i * stride.
 * big_objects is in order of allocation; pages repeat, the bits are to be joined.
 */
static void show_big(struct seq_file *m, unsigned int first)
{
	unsigned long page = 0;
	unsigned int i;
	u64 bits = 0;

	for (i = first; i < min(first + 4096, big_total); i++) {
		unsigned long a = ~big_objects[i];

		if (!a)
			continue;
		if (page && (a & PAGE_MASK) != page) {
			seq_printf(m, "T page slab_big live live %lx 64 %llx\n", page, bits);
			bits = 0;
		}
		page = a & PAGE_MASK;
		bits |= 1ULL << ((a & ~PAGE_MASK) >> 6);
	}
	if (bits)
		seq_printf(m, "T page slab_big live live %lx 64 %llx\n", page, bits);
}

/* positions: caches, records, references, causes, notes, blocks of big_objects, the end */
static void *truth_start(struct seq_file *m, loff_t *pos)
{
	loff_t last = nr_caches + nr_records + nr_references + nr_causes + nr_notes +
		      DIV_ROUND_UP(big_total, 4096);

	return *pos <= last ? pos : NULL;
}

static void *truth_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return truth_start(m, pos);
}

static void truth_stop(struct seq_file *m, void *v)
{
}

static int truth_show(struct seq_file *m, void *v)
{
	unsigned int i = *(loff_t *)v;

	if (i < nr_caches)
		show_cache(m, &caches[i]);
	else if ((i -= nr_caches) < nr_records)
		show_record(m, &records[i]);
	else if ((i -= nr_records) < nr_references) /* T ref object, the pointer's address */
		seq_printf(m, "T ref %px %px\n", object_of(references[i].to),
			   references[i].holder);
	else if ((i -= nr_references) < nr_causes)
		seq_printf(m, "T cause %s %s\n", causes[i].of->name, causes[i].what);
	else if ((i -= nr_causes) < nr_notes)
		seq_printf(m, "T note %s\n", notes[i]);
	else if ((i -= nr_notes) < DIV_ROUND_UP(big_total, 4096))
		show_big(m, i * 4096);
	else
		seq_printf(m, "T live_list %px\nT end %u %u %lu\n", &slabtest_live_list,
			   nr_caches, nr_records, ctor_calls);
	return 0;
}

static const struct seq_operations truth_ops = {
	.start = truth_start, .next = truth_next, .stop = truth_stop, .show = truth_show,
};

static int __init slabtest_init(void)
{
	char *list = kstrdup(scenario, GFP_KERNEL), *rest = list, *word;
	unsigned int i;

	records = vzalloc(MAX_RECORDS * sizeof(*records));
	if (!list || !records)
		return -ENOMEM;
	while ((word = strsep(&rest, ",+"))) {
		for (i = 0; i < ARRAY_SIZE(scenarios); i++)
			if (!strcmp(word, scenarios[i].name))
				break;
		if (i == ARRAY_SIZE(scenarios)) {
			pr_err("slabtest: no scenario %s\n", word);
			return -EINVAL;
		}
		scenarios[i].build();
	}
	kfree(list);
	if (!proc_create_seq("slabtest", 0400, NULL, &truth_ops))
		return -ENOMEM;
	return 0;
}

/* Takes back what is live; what was left behind stays, that's the point. */
static void __exit slabtest_exit(void)
{
	unsigned int i;

	remove_proc_entry("slabtest", NULL);
	for (i = 0; i < nr_records; i++)
		if (records[i].state == LIVE)
			release(&records[i]);
	for (i = 0; i < big_total; i++)
		if (~big_objects[i])
			kmem_cache_free(big_cache->s, (void *)~big_objects[i]);
	for (i = 0; i < nr_caches; i++)
		if (caches[i].refcount > 0)
			destroy(&caches[i]);
	vfree(big_objects);
	vfree(records);
}

module_init(slabtest_init);
module_exit(slabtest_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("slab caches left behind, with an account of every object");
