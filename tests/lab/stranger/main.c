// SPDX-License-Identifier: GPL-3.0-or-later
/* The plots, how each goes, and the account of them in /proc/slabtest. */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
#include <linux/panic_notifier.h>
#endif
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "stranger.h"

static char *scenario = "second";
module_param(scenario, charp, 0);

struct list_head registry[PLOTS];
struct list_head residents[PLOTS];
struct kmem_cache *domains;
static struct domain *home;
static struct workqueue_struct *reaper;
static u64 sequence = 1000;

#define P(k, n, twin, traces, how) { k, n, twin, traces, how }

static struct plot first[] = {
	P("gone-list", 40, 1, 1, IN_EXIT), P("gone-list", 3, 0, 0, IN_EXIT),
	P("gone-pointer", 3, 1, 1, IN_EXIT), P("gone-table", 40, 1, 1, IN_EXIT),
	P("gone-head", 3, 1, 0, IN_EXIT), P("gone-delinit", 3, 1, 1, IN_EXIT),
	P("gone-never", 3, 1, 1, IN_EXIT), P("gone-never", 1, 0, 0, IN_EXIT),
};

static struct plot second[] = {
	P("timer", 3, 1, 1, IN_INIT), P("timer", 1, 0, 0, IN_WORK), P("timer", 40, 1, 0, IN_INIT),
	P("hrtimer", 3, 0, 1, IN_INIT), P("hrtimer", 1, 1, 0, IN_INIT),
	P("dwork", 3, 1, 1, IN_ERROR), P("dwork", 1, 0, 0, IN_INIT),
	P("work", 3, 0, 0, IN_INIT), P("work", 40, 1, 1, IN_INIT),
	P("running", 1, 1, 1, IN_INIT),
	P("wait", 3, 1, 1, IN_INIT), P("wait", 1, 0, 0, IN_INIT),
	P("kobject", 3, 1, 1, IN_INIT), P("kobject", 1, 0, 0, IN_INIT),
	P("notifier", 3, 1, 1, IN_INIT), P("notifier", 1, 0, 0, IN_INIT),
	P("notifier-blocking", 3, 0, 0, IN_INIT),
	P("xarray", 40, 1, 1, IN_INIT), P("xarray", 1, 0, 0, IN_INIT), P("xarray", 3, 0, 1, IN_INIT),
	P("idr", 40, 1, 0, IN_INIT), P("idr", 3, 0, 0, IN_INIT),
	P("radix", 3, 1, 1, IN_INIT), P("maple", 40, 1, 1, IN_INIT), P("maple", 1, 0, 0, IN_INIT),
	P("hash-vmalloc", 40, 1, 1, IN_INIT), P("hash-static", 3, 0, 0, IN_INIT),
	P("nulls", 3, 0, 0, IN_INIT), P("bl", 3, 1, 0, IN_INIT),
	P("rb", 40, 1, 1, IN_INIT), P("rb-kmalloc", 3, 0, 0, IN_INIT), P("rb", 1, 0, 0, IN_INIT),
	P("llist", 3, 1, 0, IN_INIT), P("llist", 40, 0, 0, IN_INIT),
	P("klist", 3, 1, 1, IN_INIT), P("klist", 1, 0, 0, IN_INIT),
	P("rhash", 40, 1, 1, IN_INIT),
	P("mempool", 3, 0, 0, IN_INIT), P("mempool", 40, 1, 1, IN_INIT),
	P("private", 3, 1, 1, IN_INIT), P("private", 1, 0, 0, IN_INIT),
	P("stack", 1, 0, 0, IN_INIT), P("stack", 3, 1, 1, IN_INIT), P("stack-list", 3, 0, 0, IN_INIT),
	P("vmalloc", 40, 1, 1, IN_INIT), P("big-kmalloc", 3, 0, 0, IN_INIT),
	P("percpu", 1, 1, 1, IN_INIT), P("alloc-percpu", 1, 0, 0, IN_INIT),
	P("static", 1, 0, 0, IN_ERROR), P("static-array", 40, 1, 1, IN_INIT),
	P("list", 40, 1, 1, IN_INIT), P("list", 3, 0, 0, IN_WORK), P("list", 1, 1, 0, IN_INIT),
	P("list-object", 3, 1, 1, IN_INIT), P("list-object", 40, 0, 0, IN_INIT),
	P("proc", 1, 0, 0, IN_INIT), P("file", 1, 1, 1, IN_INIT), P("kthread", 1, 0, 0, IN_INIT),
	P("by-object", 3, 1, 1, IN_INIT), P("chain", 40, 0, 0, IN_INIT),
	P("deleted", 3, 1, 1, IN_INIT), P("deleted", 40, 1, 0, IN_INIT), P("deleted", 1, 0, 0, IN_INIT),
	P("deleted-rcu", 3, 1, 1, IN_INIT),
	P("del-init", 40, 1, 1, IN_INIT), P("del-init", 3, 1, 0, IN_INIT), P("del-init", 1, 0, 0, IN_INIT),
	P("hlist-del", 3, 1, 1, IN_INIT), P("hlist-del-init", 3, 0, 0, IN_INIT),
	P("never", 3, 1, 1, IN_ERROR), P("never", 40, 1, 0, IN_INIT), P("never", 1, 0, 0, IN_ERROR),
	P("refcount", 3, 1, 1, IN_INIT), P("dying", 3, 1, 1, IN_INIT),
	P("zeroed", 3, 1, 1, IN_INIT), P("zeroed", 1, 0, 0, IN_INIT), P("filled", 3, 1, 1, IN_INIT),
	P("ctor", 3, 1, 1, IN_INIT), P("two-states", 40, 1, 1, IN_INIT), P("two-histories", 40, 1, 1, IN_INIT),
	P("parent-freed", 3, 1, 1, IN_INIT), P("parent-reused", 3, 0, 0, IN_INIT),
	P("ring", 3, 1, 1, IN_INIT), P("ring", 40, 0, 0, IN_INIT), P("lost-chain", 3, 0, 0, IN_INIT),
	P("lost-tree", 40, 1, 1, IN_INIT), P("kids", 3, 0, 0, IN_INIT), P("mutex", 3, 1, 1, IN_INIT),
	P("overwritten", 1, 0, 0, IN_INIT), P("table-vfreed", 40, 1, 1, IN_INIT),
	P("stack-head", 3, 1, 0, IN_INIT), P("late", 3, 1, 1, IN_INIT), P("late", 40, 0, 0, IN_INIT),
	P("xa-destroyed", 3, 0, 0, IN_INIT), P("idr-destroyed", 40, 1, 1, IN_INIT),
	P("physical", 3, 1, 1, IN_INIT), P("page-offset", 3, 0, 0, IN_INIT), P("tagged", 3, 1, 1, IN_INIT),
	P("xored", 3, 1, 1, IN_INIT), P("pfn", 3, 0, 0, IN_INIT), P("index", 3, 1, 1, IN_INIT),
	P("scatterlist", 3, 0, 0, IN_INIT), P("low-half", 3, 0, 0, IN_INIT),
	P("misc", 1, 0, 0, IN_INIT), P("kwork", 3, 1, 1, IN_INIT),
	P("satellite", 3, 0, 0, IN_INIT), P("satellite", 40, 1, 1, IN_INIT),
	P("pair", 40, 1, 1, IN_INIT), P("by-lost", 3, 1, 1, IN_INIT), P("list-lost", 3, 1, 1, IN_INIT),
	P("list-lost", 40, 0, 0, IN_INIT), P("head-reused", 3, 1, 1, IN_INIT),
	P("head-reused", 40, 0, 0, IN_INIT), P("deleted-hashed", 3, 1, 1, IN_INIT),
	P("family", 40, 1, 1, IN_INIT), P("family", 3, 0, 0, IN_INIT), P("family-lost", 3, 1, 1, IN_INIT),
	P("list-percpu", 3, 1, 1, IN_INIT), P("list-vmalloc", 3, 0, 0, IN_INIT),
	P("list-page", 3, 1, 1, IN_INIT), P("some-left", 40, 1, 1, IN_INIT),
	P("waited", 3, 0, 0, IN_INIT), P("waited", 1, 1, 1, IN_INIT),
	P("srcu", 3, 1, 1, IN_INIT), P("rcu", 3, 1, 1, IN_INIT), P("rcu", 1, 0, 0, IN_INIT),
	P("kfree-rcu", 3, 0, 0, IN_INIT), P("kfree-rcu", 40, 1, 1, IN_INIT),
	P("grace-parent", 3, 0, 0, IN_INIT),
};

/* In use: the living are of the same cache as what is planted. */
static struct plot alive[] = {
	P("never", 40, 1, 1, NOT_AT_ALL), P("deleted", 3, 1, 0, NOT_AT_ALL),
	P("by-object", 3, 1, 1, NOT_AT_ALL), P("timer", 3, 1, 1, NOT_AT_ALL),
	P("none", 0, 1, 1, NOT_AT_ALL),
};

/* The destroy warns, and the kernel panics of it. */
static struct plot panicking[] = { P("holes", 40, 0, 1, IN_INIT) };

static struct plot *plots;
static int plotted;

static const struct kind *kind_of(const struct plot *p)
{
	const struct kind *const all[] = { callback_kinds, holder_kinds, history_kinds,
					   hiding_kinds, gone_kinds, more_kinds };
	const struct kind *k;
	int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (k = all[i]; k->name; k++)
			if (!strcmp(k->name, p->kind))
				return k;
	return NULL;
}

struct thing *fresh(struct plot *p, struct kmem_cache *cache)
{
	struct thing *t = kmem_cache_alloc(cache, GFP_KERNEL);

	if (kind_of(p)->ctor)
		return t;
	memset(t, 0, sizeof(*t));
	t->kind = 0x51ab0000 | p->ix;
	t->state = NEW;
	t->len = 1500;
	refcount_set(&t->refs, 1);
	INIT_LIST_HEAD(&t->link);
	strscpy(t->label, p->kind, sizeof(t->label));
	if (!p->traces) {
		t->state = LIVE;
		t->seq = ++sequence;
		t->since = jiffies;
		t->dom = home;
	}
	return t;
}

void entered(struct plot *p, struct thing *t)
{
	if (!p->traces)
		return;
	t->state = LIVE;
	t->seq = ++sequence;
	t->since = jiffies;
	t->dom = home;
	refcount_set(&t->refs, 2);
}

struct domain *new_domain(struct plot *p)
{
	struct domain *d = kmem_cache_zalloc(domains, GFP_KERNEL);

	INIT_LIST_HEAD(&d->things);
	d->stamp = jiffies;
	snprintf(d->name, sizeof(d->name), "domain-%d", p->ix);
	return d;
}

void living_on_list(struct plot *p, struct thing **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		list_add_tail(&objs[i]->link, &residents[p->ix]);
		entered(p, objs[i]);
	}
}

static struct thing *kept[2048];

/* Living things that are on no list in their lives: an array has them. */
void living_kept(struct plot *p, struct thing **objs, int n)
{
	static int used;
	int i;

	for (i = 0; i < n; i++) {
		WRITE_ONCE(kept[used++], objs[i]);
		entered(p, objs[i]);
	}
}

static struct kmem_cache *new_cache(struct plot *p)
{
	char *name = kasprintf(GFP_KERNEL, "st_%d_%s", p->ix, p->kind);

	/* A region for user copies keeps it from being merged. */
	return kmem_cache_create_usercopy(name, sizeof(struct thing), 0, 0,
		offsetof(struct thing, label), 16, kind_of(p)->ctor);
}

struct errand {
	struct work_struct work;
	struct kmem_cache *cache;
};

static noinline void reap_cache(struct work_struct *work)
{
	struct errand *errand = container_of(work, struct errand, work);

	kmem_cache_destroy(errand->cache);
	errand->cache = NULL;
}

static noinline void setup_fails(struct kmem_cache *cache, int *error)
{
	kmem_cache_destroy(cache);
	*error = -ENOMEM;
}

static noinline void end_plot(struct kmem_cache *cache, int *error)
{
	kmem_cache_destroy(cache);
	*error = 0;
}

static void destroy(struct plot *p)
{
	struct errand errand = { .cache = p->left };
	int error;

	switch (p->how) {
	case IN_WORK:
		INIT_WORK_ONSTACK(&errand.work, reap_cache);
		queue_work(reaper, &errand.work);
		flush_work(&errand.work);
		destroy_work_on_stack(&errand.work);
		break;
	case IN_ERROR:
		setup_fails(p->left, &error);
		break;
	case IN_INIT:
		end_plot(p->left, &error);
		break;
	case IN_EXIT:
	case NOT_AT_ALL:
		break;
	}
}

/* The living twin: as after the module was loaded again. */
static void make_twin(struct plot *p)
{
	const struct kind *k = kind_of(p);
	struct thing **objs;
	int i, n = p->n < 5 ? 7 : p->n + 5;

	p->live = p->how == NOT_AT_ALL ? p->left : new_cache(p);
	if (k->own)
		return;
	objs = kcalloc(n, sizeof(*objs), GFP_KERNEL);
	for (i = 0; i < n; i++)
		objs[i] = fresh(p, p->live);
	if (k->ctor)
		for (i = 0; i < n; i++) {
			objs[i]->kind = 0x51ab0000 | p->ix;
			objs[i]->len = 1500;
		}
	(k->living ?: living_on_list)(p, objs, n);
	kfree_sensitive(objs);
}

static noinline void make_plot(struct plot *p)
{
	const struct kind *k = kind_of(p);
	struct thing **objs = kcalloc(p->n, sizeof(*objs), GFP_KERNEL);
	int i;

	p->left = new_cache(p);
	p->hidden = kcalloc(p->n, sizeof(u64), GFP_KERNEL);
	p->told = kcalloc(p->n, sizeof(u64), GFP_KERNEL);
	if (!k->own)
		for (i = 0; i < p->n; i++)
			objs[i] = fresh(p, p->left);
	k->plant(p, objs);
	for (i = 0; i < p->n; i++)
		p->hidden[i] = ~(u64)(unsigned long)objs[i];
	destroy(p);
	if (k->after && !k->last)
		k->after(p, objs);
	kfree_sensitive(objs);
	if (p->twin && p->how != IN_EXIT)
		make_twin(p);
}

static const char *const callers[] = { "end_plot", "reap_cache", "setup_fails", "destroy_all", "-" };

#define PORT 0x2f8	/* of the second serial line; in a panic no driver helps */
#define LINE_STATUS (PORT + 5)
#define TAKES_MORE 0x20

static __printf(1, 2) void send(const char *format, ...)
{
	static char line[256];
	va_list arguments;
	char *at;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	for (at = line; *at; at++) {
		while (!(inb(LINE_STATUS) & TAKES_MORE))
			cpu_relax();
		outb(*at, PORT);
	}
}

#define tell(file, ...) do { \
	if (file) \
		seq_printf(file, __VA_ARGS__); \
	else \
		send(__VA_ARGS__); \
} while (0)

static noinline void finish_plot(struct plot *p)
{
	struct thing **objs = kcalloc(p->n, sizeof(*objs), GFP_KERNEL);
	int i;

	for (i = 0; i < p->n; i++)
		objs[i] = (struct thing *)(unsigned long)~p->hidden[i];
	kind_of(p)->after(p, objs);
	kfree_sensitive(objs);
}

static int account(struct seq_file *file, void *unused)
{
	int i, j, lines = 0;

	for (i = 0; i < plotted; i++) {
		struct plot *p = plots + i;

		tell(file, "T cache st_%d_%s leftover %llx %zu 0 0 0\n", p->ix, p->kind,
			   (u64)(unsigned long)p->left, sizeof(struct thing));
		tell(file, "T plot st_%d_%s %s %d %s %s %llx %s\n", p->ix, p->kind, p->kind,
			   p->n, p->traces ? "traces" : "bare", p->twin ? "twin" : "alone",
			   (u64)(unsigned long)p->left, callers[p->how]);
		for (j = 0; j < p->n; j++)
			tell(file, "T leaked st_%d_%s %llx %lld\n", p->ix, p->kind,
				   ~p->hidden[j], p->told[j]);
		lines++;
	}
	tell(file, "T end %d 0\n", lines);
	return 0;
}

/* As the guest's init would, had the kernel gone on; the dump is made while this waits. */
static int tell_of_panic(struct notifier_block *nb, unsigned long event, void *data)
{
	account(NULL, NULL);
	send("===log\n===done\n");
	for (;;)
		mdelay(100);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = { .notifier_call = tell_of_panic, .priority = INT_MAX };

static noinline void destroy_all(struct plot *some, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (some[i].how == IN_EXIT)
			kmem_cache_destroy(some[i].left);
	pr_info("all destroyed\n");
}

static int __init stranger_init(void)
{
	bool again = !strcmp(scenario, "second");
	int i;

	for (i = 0; i < PLOTS; i++) {
		INIT_LIST_HEAD(&registry[i]);
		INIT_LIST_HEAD(&residents[i]);
	}
	domains = kmem_cache_create_usercopy("st_domain", sizeof(struct domain), 0, 0,
		offsetof(struct domain, name), 24, NULL);
	reaper = alloc_workqueue("st_reaper", WQ_UNBOUND, 0);
	plots = again ? second : first;
	plotted = again ? ARRAY_SIZE(second) : ARRAY_SIZE(first);
	if (!strcmp(scenario, "alive")) {
		plots = alive;
		plotted = ARRAY_SIZE(alive);
	}
	if (!strcmp(scenario, "panic")) {
		atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
		plots = panicking;
		plotted = ARRAY_SIZE(panicking);
	}
	for (i = 0; i < plotted; i++)
		plots[i].ix = again ? i + ARRAY_SIZE(first) : i;
	home = new_domain(plots);
	for (i = 0; i < plotted; i++)
		make_plot(plots + i);
	if (again)	/* the twins of what the first load has left */
		for (i = 0; i < ARRAY_SIZE(first); i++) {
			first[i].ix = i;
			if (first[i].twin)
				make_twin(first + i);
		}
	for (i = 0; i < plotted; i++)
		if (kind_of(plots + i)->last)
			finish_plot(plots + i);
	proc_create_single("slabtest", 0444, NULL, account);
	return 0;
}

static void __exit stranger_exit(void)
{
	remove_proc_entry("slabtest", NULL);
	destroy_workqueue(reaper);
	/* The domain stays: what is leaked points to it, and its memory may get other things. */
	destroy_all(plots, plotted);
}

module_init(stranger_init);
module_exit(stranger_exit);
MODULE_LICENSE("GPL");
