// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Caches in use with very many objects: who has them, since when, and which are on their
 * way from one owner to the next while the dump is taken.
 *
 * insmod slabtest.ko scenario=held|young|large builds one; /proc/slabtest is the account:
 *
 *   T crowd CACHE OWNER COUNT SUM XOR FROM TO
 *     OWNER: the variable that leads to these objects, or `lost`; SUM, XOR: of their
 *     addresses, for there are too many to be listed; FROM, TO: milliseconds since boot at
 *     the first and after the last of them.
 *   T young ADDRESS
 *     One of the first objects of `young`.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

static char *scenario = "held";
module_param(scenario, charp, 0444);

/* 64 bytes; the list head is not its first member, as in most of the kernel's structures. */
struct guest {
	u64 number;
	unsigned long since;	/* jiffies */
	struct list_head list;
	u64 filler[4];
};

struct batch {
	const char *cache, *owner;
	unsigned long count, sum, xor;
	u64 from, to;
};

#define MOST_BATCHES 16
static struct batch batches[MOST_BATCHES];
static unsigned int nr_batches;

/* The owners. */
static LIST_HEAD(crowd_list);
static LIST_HEAD(crowd_late_list);
static void **crowd_table;
static void **crowd_second_table;
static struct guest *crowd_single;

static u64 now(void)
{
	return ktime_to_ms(ktime_get());
}

static struct batch *begin(const char *cache, const char *owner)
{
	struct batch *b = &batches[nr_batches++];

	b->cache = cache;
	b->owner = owner;
	b->from = now();
	return b;
}

static void count(struct batch *b, const void *object)
{
	b->count++;
	b->sum += (unsigned long)object;
	b->xor ^= (unsigned long)object;
	if (b->count % 4096 == 0)
		cond_resched();
}

static void fill(struct guest *g, u64 number)
{
	memset(g, 0, sizeof(*g));
	g->number = number;
	g->since = jiffies;
	INIT_LIST_HEAD(&g->list);
}

static struct kmem_cache *make(const char *name)
{
	/* A region for user copies keeps it from being merged. */
	return kmem_cache_create_usercopy(name, sizeof(struct guest), 0, 0, 0,
					  sizeof(struct guest), NULL);
}

/* Each a function of its own, for the kernel notes who has allocated an object. */
static noinline void crowd_fill_list(struct kmem_cache *cache, const char *name,
				     struct list_head *list, const char *owner, unsigned int n)
{
	struct batch *b = begin(name, owner);
	struct guest *g;

	while (b->count < n && (g = kmem_cache_alloc(cache, GFP_KERNEL))) {
		fill(g, b->count);
		list_add_tail(&g->list, list);
		count(b, g);
	}
	b->to = now();
}

static noinline void crowd_fill_table(struct kmem_cache *cache, const char *name, unsigned int n)
{
	struct batch *b = begin(name, "crowd_table");
	struct guest *g;

	crowd_table = vzalloc(n * sizeof(*crowd_table));
	while (crowd_table && b->count < n && (g = kmem_cache_alloc(cache, GFP_KERNEL))) {
		fill(g, b->count);
		crowd_table[b->count] = g;
		count(b, g);
	}
	b->to = now();
}

/* One pointer in the module's data; no other object knows this one. */
static noinline void crowd_fill_single(struct kmem_cache *cache, const char *name)
{
	struct batch *b = begin(name, "crowd_single");

	crowd_single = kmem_cache_alloc(cache, GFP_KERNEL);
	fill(crowd_single, 0);
	count(b, crowd_single);
	b->to = now();
}

static noinline void crowd_lose(struct kmem_cache *cache, const char *name, unsigned int n)
{
	struct batch *b = begin(name, "lost");
	struct guest *g;

	while (b->count < n && (g = kmem_cache_alloc(cache, GFP_KERNEL))) {
		fill(g, b->count);
		count(b, g);
	}
	b->to = now();
}

static noinline void crowd_kmalloc(void ***table, const char *name, const char *owner,
				   unsigned int size, unsigned int n)
{
	struct batch *b = begin(name, owner);
	u64 *o;

	*table = vzalloc(n * sizeof(**table));
	while (*table && b->count < n && (o = kzalloc(size, GFP_KERNEL))) {
		o[0] = b->count;
		(*table)[b->count] = o;
		count(b, o);
	}
	b->to = now();
}

/* Three ages: a third, a half and the rest, 9 and 5 seconds in between. */
static void hold(const char *name)
{
	struct kmem_cache *cache = make(name);

	crowd_fill_list(cache, name, &crowd_list, "crowd_list", 10000);
	msleep(9000);
	crowd_fill_list(cache, name, &crowd_late_list, "crowd_late_list", 14000);
	msleep(5000);
	crowd_fill_table(cache, name, 5999);
	crowd_fill_single(cache, name);
}

/*
 * 10^7 objects in 12 GB: one list of 5 million, tables, a million that are lost, and beside
 * the slabs 5 GB of pages in use.
 */
static struct page *crowd_pages;
#define LARGE_ORDER 4
#define LARGE_PAGES ((5UL << 30) >> (PAGE_SHIFT + LARGE_ORDER))

static void build_large(void)
{
	struct kmem_cache *cache = make("crowd_small");
	unsigned long i, j;

	crowd_fill_list(cache, "crowd_small", &crowd_list, "crowd_list", 5000000);
	crowd_lose(cache, "crowd_small", 1000000);
	crowd_kmalloc(&crowd_table, "kmalloc-256", "crowd_table", 256, 2500000);
	crowd_kmalloc(&crowd_second_table, "kmalloc-1k", "crowd_second_table", 1024, 1500000);
	for (i = 0; i < LARGE_PAGES; i++) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, LARGE_ORDER);
		u64 *words;

		if (!page)
			break;
		words = page_address(page);
		for (j = 0; j < (PAGE_SIZE << LARGE_ORDER) / sizeof(*words); j++)
			words[j] = i * 0x9e3779b97f4a7c15ULL + j / 8;
		words[0] = (unsigned long)crowd_pages;
		crowd_pages = page;
		cond_resched();
	}
}

/*
 * Objects that two tasks pass to one another for ever, through their registers and stacks
 * only: no list has them on the way. Now and then one is freed and another one allocated.
 */
#define YOUNG 64
static struct kmem_cache *young_cache;
static LIST_HEAD(crowd_waiting);
static LIST_HEAD(crowd_served);
static DEFINE_SPINLOCK(crowd_lock);
static unsigned long young[YOUNG];	/* inverted: no pointers */

static struct guest *take(struct list_head *list)
{
	struct guest *g = NULL;

	spin_lock(&crowd_lock);
	if (!list_empty(list)) {
		g = list_first_entry(list, struct guest, list);
		list_del_init(&g->list);
	}
	spin_unlock(&crowd_lock);
	return g;
}

static void put(struct list_head *list, struct guest *g)
{
	spin_lock(&crowd_lock);
	list_add_tail(&g->list, list);
	spin_unlock(&crowd_lock);
}

static noinline struct guest *crowd_serve(struct guest *g, unsigned int rounds)
{
	while (rounds--) {
		g->number++;
		cpu_relax();
	}
	return g;
}

static int crowd_serves(void *backwards)
{
	struct list_head *from = backwards ? &crowd_served : &crowd_waiting;
	struct list_head *to = backwards ? &crowd_waiting : &crowd_served;
	struct guest *g;

	while (!kthread_should_stop()) {
		g = take(from);
		if (g)
			put(to, crowd_serve(g, 20000));
		cond_resched();
	}
	return 0;
}

/* Each lives for some tenths of a second: alone on this stack, and then with nobody. */
static int crowd_renews(void *unused)
{
	struct guest *g, *fresh;

	while (!kthread_should_stop()) {
		g = take(&crowd_waiting);
		fresh = kmem_cache_alloc(young_cache, GFP_KERNEL);
		if (fresh) {
			fill(fresh, 0);
			msleep(50);
			put(&crowd_waiting, crowd_serve(fresh, 20000));
		}
		if (g)
			kmem_cache_free(young_cache, g);
	}
	return 0;
}

static void build_young(void)
{
	unsigned int i;

	young_cache = make("crowd_young");
	for (i = 0; i < YOUNG; i++) {
		struct guest *g = kmem_cache_alloc(young_cache, GFP_KERNEL);

		fill(g, i);
		young[i] = ~(unsigned long)g;
		put(&crowd_waiting, g);
	}
	kthread_run(crowd_serves, NULL, "crowd/there");
	kthread_run(crowd_serves, &crowd_served, "crowd/back");
	kthread_run(crowd_renews, NULL, "crowd/renew");
}

static int account(struct seq_file *m, void *unused)
{
	const struct batch *b;
	unsigned int i;

	for (b = batches; b < batches + nr_batches; b++)
		seq_printf(m, "T crowd %s %s %lu %lx %lx %llu %llu\n", b->cache, b->owner,
			   b->count, b->sum, b->xor, b->from, b->to);
	for (i = 0; i < YOUNG && young[i]; i++)
		seq_printf(m, "T young %lx\n", ~young[i]);
	seq_puts(m, "T end 0 0\n");
	return 0;
}

static int __init crowd_init(void)
{
	if (!strcmp(scenario, "held"))
		hold("crowd_held");
	else if (!strcmp(scenario, "large"))
		build_large();
	else if (!strcmp(scenario, "young"))
		build_young();
	else
		return -EINVAL;
	return proc_create_single("slabtest", 0, NULL, account) ? 0 : -ENOMEM;
}

module_init(crowd_init);
MODULE_DESCRIPTION("caches in use with very many objects");
MODULE_LICENSE("GPL");
