// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects that a plain word in memory in use holds: by where the word lies, and its form. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "plant.h"

/* One word an object, at `words`. */
static void fill_table(struct plot *p, void **words, const char *owner)
{
	unsigned int i;

	if (!words)
		return;
	for_each_plant(p, i) {
		words[i] = p->o[i];
		held(p, p->o[i], &words[i], owner);
	}
}

static void *slabplant_bss[PLOTS_A_KIND][MOST_PLANTS];
static void *slabplant_data[PLOTS_A_KIND][MOST_PLANTS] = { { (void *)1 } };
static DEFINE_PER_CPU(void *[PLOTS_A_KIND][MOST_PLANTS], slabplant_percpu);

static void plant_bss(struct plot *p)
{
	fill_table(p, slabplant_bss[p->variant], "slabplant_bss");
}

static void plant_data(struct plot *p)
{
	fill_table(p, slabplant_data[p->variant], "slabplant_data");
}

static void plant_percpu(struct plot *p)
{
	fill_table(p, (void **)per_cpu_ptr(&slabplant_percpu, p->variant % 2)[p->variant],
		   "slabplant_percpu");
}

/*
 * A per-CPU cookie is no pointer: only the areas themselves hold them. What is larger than the
 * first chunk has left lies in pages of another one.
 */
void __percpu *slabplant_cookie[PLOTS_A_KIND];

static void plant_percpu_dynamic(struct plot *p)
{
	size_t size = p->variant ? 24 << 10 : MOST_PLANTS * sizeof(void *);
	void __percpu *area = __alloc_percpu(size, sizeof(void *));

	slabplant_cookie[p->variant] = area;
	if (area)
		fill_table(p, per_cpu_ptr(area, 1), "slabplant_cookie");
}

static void plant_vmalloc(struct plot *p)
{
	char *area = keep(vzalloc(5 * PAGE_SIZE));

	if (area)
		fill_table(p, (void **)(area + 3 * PAGE_SIZE + 8), "vmalloc");
}

static void plant_large(struct plot *p)
{
	char *area = keep(kzalloc(32768, GFP_KERNEL));

	if (area)
		fill_table(p, (void **)(area + 5 * PAGE_SIZE + 16), "kmalloc");
}

static void plant_pages(struct plot *p, unsigned int order, gfp_t flags)
{
	struct page *page = keep(alloc_pages(GFP_KERNEL | __GFP_ZERO | flags, order));

	if (page) /* in the last of them */
		fill_table(p, (void **)((char *)page_address(page) + (PAGE_SIZE << order) -
					MOST_PLANTS * sizeof(void *)), "page");
}

static void plant_page(struct plot *p)
{
	plant_pages(p, 0, 0);
}

static void plant_compound(struct plot *p)
{
	plant_pages(p, 2, __GFP_COMP);
}

/* Its tails have a reference count of 0 and no head. */
static void plant_tails(struct plot *p)
{
	plant_pages(p, 2, 0);
}

static void plant_private(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct page *page = keep(alloc_page(GFP_KERNEL));

		if (!page)
			return;
		set_page_private(page, (unsigned long)p->o[i]);
		held(p, p->o[i], &page->private, "page-private");
	}
}

/* Objects of another cache: one that holds the planted, two, three on the way to it. */
static void *slabplant_first[3][PLOTS_A_KIND][MOST_PLANTS];

static void plant_steps(struct plot *p, unsigned int steps)
{
	static struct kmem_cache *between;
	unsigned int i, k;

	if (!between)
		between = kmem_cache_create_usercopy("plant_between", 88, 0, 0, 0, 88, NULL);
	for_each_plant(p, i) {
		void **where = &slabplant_first[steps - 1][p->variant][i];

		for (k = 0; k < steps; k++) {
			void **o = between ? kmem_cache_zalloc(between, GFP_KERNEL) : NULL;

			if (!o)
				return;
			*where = o;
			where = &o[2 + 3 * k % 7];
			beside(p, o, 88, "between", HELD);
		}
		*where = p->o[i];
		held(p, p->o[i], where, "plant_between");
	}
}

static void plant_one(struct plot *p)
{
	plant_steps(p, 1);
}

static void plant_two(struct plot *p)
{
	plant_steps(p, 2);
}

static void plant_three(struct plot *p)
{
	plant_steps(p, 3);
}

/* Low bits set; or a pointer to the middle of the object, or to its last byte but seven. */
static unsigned long slabplant_tags[PLOTS_A_KIND][MOST_PLANTS];
static void *slabplant_inside[PLOTS_A_KIND][MOST_PLANTS];

static void plant_tags(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_tags[p->variant][i] = (unsigned long)p->o[i] | (i % 7 + 1);
		held(p, p->o[i], &slabplant_tags[p->variant][i], "slabplant_tags");
	}
}

static void plant_inside(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		unsigned int at = i % 2 ? p->size - 8 : offsetof(struct plant, list);

		slabplant_inside[p->variant][i] = (char *)p->o[i] + at;
		held(p, p->o[i], &slabplant_inside[p->variant][i], "slabplant_inside");
	}
}

const struct kind memory_kinds[] = {
	{ "held:module-bss", TAKEN_OFF, HELD, .plant = plant_bss },
	{ "held:module-data", NEVER_LINKED, HELD, .plant = plant_data },
	{ "held:percpu", TAKEN_OFF, HELD, .plant = plant_percpu },
	{ "held:percpu-dynamic", TAKEN_OFF, HELD, .plant = plant_percpu_dynamic },
	{ "held:vmalloc", TAKEN_OFF, HELD, .plant = plant_vmalloc },
	{ "held:large-kmalloc", NEVER_LINKED, HELD, .plant = plant_large },
	{ "held:page", TAKEN_OFF, HELD, .plant = plant_page },
	{ "held:compound-page", TAKEN_OFF, HELD, .plant = plant_compound },
	{ "held:page-tails", TAKEN_OFF, HELD, .plant = plant_tails },
	{ "held:page-private", INSERTED, HELD, NO_HEAD, .plant = plant_private },
	{ "held:object", TAKEN_OFF, HELD, .plant = plant_one },
	{ "held:object-2", TAKEN_OFF, HELD, .plant = plant_two },
	{ "held:object-3", INSERTED, HELD, NO_HEAD, .plant = plant_three },
	{ "held:tagged", TAKEN_OFF, HELD, .plant = plant_tags },
	{ "held:interior", TAKEN_OFF, HELD, .plant = plant_inside },
	{}
};
