// SPDX-License-Identifier: GPL-3.0-or-later
/* Held by a structure or a variable that somebody has forgotten to empty. */
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kthread.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/radix-tree.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>
#include "stranger.h"
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
#include <linux/maple_tree.h>
#endif

#define EACH(p, objs, i) for (i = 0; i < (p)->n && (entered(p, (objs)[i]), true); i++)

static struct kset *thing_set;

static void release_thing(struct kobject *kobj)
{
	pr_info("release %px\n", kobj);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
static const struct kobj_type thing_type = { .release = release_thing };
#else
static struct kobj_type thing_type = { .release = release_thing };
#endif

static void plant_kobject(struct plot *p, struct thing **objs)
{
	int i;

	if (!thing_set)
		thing_set = kset_create_and_add("stranger_things", NULL, kernel_kobj);
	EACH(p, objs, i) {
		objs[i]->u.kobj.kset = thing_set;
		(void)!kobject_init_and_add(&objs[i]->u.kobj, &thing_type, NULL, "t%d-%d", p->ix, i);
	}
}

static struct xarray thing_xas[PLOTS];

static void plant_xarray(struct plot *p, struct thing **objs)
{
	int i;

	xa_init(&thing_xas[p->ix]);
	EACH(p, objs, i)
		xa_store(&thing_xas[p->ix], i * (p->n > 5 ? 17 : 1), objs[i], GFP_KERNEL);
}

static struct idr *thing_idrs[PLOTS];

static void plant_idr(struct plot *p, struct thing **objs)
{
	int i;

	thing_idrs[p->ix] = kzalloc(sizeof(struct idr), GFP_KERNEL);
	idr_init(thing_idrs[p->ix]);
	EACH(p, objs, i)
		idr_alloc(thing_idrs[p->ix], objs[i], 1, 0, GFP_KERNEL);
}

static RADIX_TREE(thing_radix, GFP_KERNEL);

static void plant_radix(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		radix_tree_insert(&thing_radix, 1000 * i, objs[i]);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
static struct maple_tree thing_maples[PLOTS];

static void plant_maple(struct plot *p, struct thing **objs)
{
	int i;

	mt_init(&thing_maples[p->ix]);
	EACH(p, objs, i)
		mtree_store(&thing_maples[p->ix], 3 + 10 * i, objs[i], GFP_KERNEL);
}
#else
static struct xarray thing_maples[PLOTS];

static void plant_maple(struct plot *p, struct thing **objs)
{
	int i;

	xa_init(&thing_maples[p->ix]);
	EACH(p, objs, i)
		xa_store(&thing_maples[p->ix], 3 + 10 * i, objs[i], GFP_KERNEL);
}
#endif

static struct hlist_head *thing_hash;
static struct hlist_head thing_buckets[16];
static struct hlist_nulls_head thing_nulls[4];
static struct hlist_bl_head thing_bl[4];

static void plant_hash_vmalloc(struct plot *p, struct thing **objs)
{
	int i;

	thing_hash = vzalloc(4096 * sizeof(*thing_hash));
	EACH(p, objs, i)
		hlist_add_head(&objs[i]->u.hnode, &thing_hash[(i % 23) * 131]);
}

static void plant_hash_static(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		hlist_add_head(&objs[i]->u.hnode, &thing_buckets[3 + 5 * (i & 1)]);
}

static void plant_nulls(struct plot *p, struct thing **objs)
{
	int i;

	for (i = 0; i < 4; i++)
		INIT_HLIST_NULLS_HEAD(&thing_nulls[i], i);
	EACH(p, objs, i)
		hlist_nulls_add_head(&objs[i]->u.nnode, &thing_nulls[i & 3]);
}

static void plant_bl(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		hlist_bl_lock(&thing_bl[0]);
		hlist_bl_add_head(&objs[i]->u.bnode, &thing_bl[0]);
		hlist_bl_unlock(&thing_bl[0]);
	}
}

static struct rb_root thing_trees[PLOTS];

static void into_tree(struct rb_root *root, struct thing *t, unsigned long key)
{
	struct rb_node **at = &root->rb_node, *parent = NULL;

	t->len = key;
	while (*at) {
		parent = *at;
		at = key < rb_entry(parent, struct thing, u.rb)->len ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&t->u.rb, parent, at);
	rb_insert_color(&t->u.rb, root);
}

static void plant_rb(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		into_tree(&thing_trees[p->ix], objs[i], (i * 37) % 101);
}

static struct {
	struct rb_root root;
	unsigned long count;
} *thing_index;

static void plant_rb_kmalloc(struct plot *p, struct thing **objs)
{
	int i;

	thing_index = kzalloc(sizeof(*thing_index), GFP_KERNEL);
	EACH(p, objs, i)
		into_tree(&thing_index->root, objs[i], (i * 37) % 101);
}

static struct llist_head thing_llists[PLOTS];

static void plant_llist(struct plot *p, struct thing **objs)
{
	int i;

	init_llist_head(&thing_llists[p->ix]);
	EACH(p, objs, i)
		llist_add(&objs[i]->u.lnode, &thing_llists[p->ix]);
}

static struct klist thing_klists[PLOTS];

static void plant_klist(struct plot *p, struct thing **objs)
{
	int i;

	klist_init(&thing_klists[p->ix], NULL, NULL);
	EACH(p, objs, i)
		klist_add_tail(&objs[i]->u.knode, &thing_klists[p->ix]);
}

static struct rhashtable thing_rhash;
static const struct rhashtable_params rhash_params = {
	.head_offset = offsetof(struct thing, u.rhead),
	.key_offset = offsetof(struct thing, len),
	.key_len = sizeof(u32),
};

static void plant_rhash(struct plot *p, struct thing **objs)
{
	int i;

	rhashtable_init(&thing_rhash, &rhash_params);
	EACH(p, objs, i) {
		objs[i]->len = i;
		rhashtable_insert_fast(&thing_rhash, &objs[i]->u.rhead, rhash_params);
	}
}

static mempool_t *thing_pools[PLOTS];

static void plant_mempool(struct plot *p, struct thing **objs)
{
	int i;

	thing_pools[p->ix] = mempool_create_slab_pool(p->n, p->left);
	for (i = 0; i < p->n; i++)
		objs[i] = thing_pools[p->ix]->elements[i];
}

static struct page *thing_pages[PLOTS][4];

static void plant_private(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		thing_pages[p->ix][i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		SetPagePrivate(thing_pages[p->ix][i]);
		set_page_private(thing_pages[p->ix][i], (unsigned long)objs[i]);
	}
}

struct start {
	int n;
	bool list;
	struct thing *objs[4];
	struct list_head *from;
	struct completion done;
};

static noinline int wait_with_things(void *data)
{
	struct start *start = data;
	struct thing *volatile mine[4] = { };
	struct list_head batch;
	int i;

	INIT_LIST_HEAD(&batch);
	for (i = 0; i < start->n; i++)
		if (start->list)
			list_add_tail(&start->objs[i]->link, &batch);
		else
			mine[i] = start->objs[i];
	complete(&start->done);
	while (!kthread_should_stop())
		schedule_timeout_idle(1000 * HZ);
	for (i = 0; i < 4; i++)
		if (mine[i])
			pr_info("%px %px\n", mine[i], batch.next);
	return 0;
}

static void start_waiter(struct plot *p, struct thing **objs, bool list)
{
	struct start *start = kzalloc(sizeof(*start), GFP_KERNEL);
	int i;

	init_completion(&start->done);
	start->n = p->n;
	start->list = list;
	EACH(p, objs, i)
		start->objs[i] = objs[i];
	kthread_run(wait_with_things, start, "st_waiter%d", p->ix);
	wait_for_completion(&start->done);
	kfree_sensitive(start);
}

static void plant_stack(struct plot *p, struct thing **objs)
{
	start_waiter(p, objs, false);
}

static void plant_stack_list(struct plot *p, struct thing **objs)
{
	start_waiter(p, objs, true);
}

static struct thing **thing_table, **thing_heap;

static void plant_vmalloc(struct plot *p, struct thing **objs)
{
	int i;

	thing_table = vzalloc(4096 * sizeof(*thing_table));
	EACH(p, objs, i)
		thing_table[i * 91] = objs[i];
}

static void plant_big_kmalloc(struct plot *p, struct thing **objs)
{
	int i;

	thing_heap = kzalloc(65536, GFP_KERNEL);
	EACH(p, objs, i)
		thing_heap[i * 1001] = objs[i];
}

static DEFINE_PER_CPU(struct thing *, thing_of_cpu);
static struct thing *__percpu *thing_cookie;

static void plant_percpu(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	per_cpu(thing_of_cpu, 1) = objs[0];
}

static void plant_alloc_percpu(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	thing_cookie = alloc_percpu(struct thing *);
	*per_cpu_ptr(thing_cookie, 1) = objs[0];
}

static struct thing *current_thing, *all_things[40];

static void plant_static(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	WRITE_ONCE(current_thing, objs[0]);
}

static void plant_static_array(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(all_things[i], objs[i]);
}

static void plant_list(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		list_add(&objs[i]->link, &registry[p->ix]);
}

static struct domain *thing_domains[PLOTS];

static void plant_list_object(struct plot *p, struct thing **objs)
{
	int i;

	thing_domains[p->ix] = new_domain(p);
	EACH(p, objs, i)
		list_add(&objs[i]->link, &thing_domains[p->ix]->things);
}

static void plant_by_object(struct plot *p, struct thing **objs)
{
	int i;

	thing_domains[p->ix] = new_domain(p);
	EACH(p, objs, i)
		thing_domains[p->ix]->ring[i] = objs[i];
}

static struct thing *thing_chain;

static void plant_chain(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i) {
		objs[i]->u.next = thing_chain;
		WRITE_ONCE(thing_chain, objs[i]);
	}
}

static int show_thing(struct seq_file *file, void *unused)
{
	return 0;
}

static void plant_proc(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	proc_create_single_data("st_thing", 0444, NULL, show_thing, objs[0]);
}

static const struct file_operations thing_fops = { .owner = THIS_MODULE };
static struct file *thing_file;

static void plant_file(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	WRITE_ONCE(thing_file, anon_inode_getfile("st_thing", &thing_fops, objs[0], O_RDWR));
}

static int idle_thread(void *data)
{
	while (!kthread_should_stop())
		schedule_timeout_idle(1000 * HZ);
	return 0;
}

static void plant_kthread(struct plot *p, struct thing **objs)
{
	entered(p, objs[0]);
	kthread_run(idle_thread, objs[0], "st_idle");
}

const struct kind holder_kinds[] = {
	{ "kobject", plant_kobject },
	{ "xarray", plant_xarray },
	{ "idr", plant_idr },
	{ "radix", plant_radix },
	{ "maple", plant_maple },
	{ "hash-vmalloc", plant_hash_vmalloc },
	{ "hash-static", plant_hash_static },
	{ "nulls", plant_nulls },
	{ "bl", plant_bl },
	{ "rb", plant_rb },
	{ "rb-kmalloc", plant_rb_kmalloc },
	{ "llist", plant_llist },
	{ "klist", plant_klist },
	{ "rhash", plant_rhash },
	{ "mempool", plant_mempool, .own = true },
	{ "private", plant_private },
	{ "stack", plant_stack },
	{ "stack-list", plant_stack_list },
	{ "vmalloc", plant_vmalloc },
	{ "big-kmalloc", plant_big_kmalloc },
	{ "percpu", plant_percpu },
	{ "alloc-percpu", plant_alloc_percpu },
	{ "static", plant_static },
	{ "static-array", plant_static_array },
	{ "list", plant_list },
	{ "list-object", plant_list_object },
	{ "by-object", plant_by_object },
	{ "chain", plant_chain },
	{ "proc", plant_proc },
	{ "file", plant_file },
	{ "kthread", plant_kthread },
	{ }
};
