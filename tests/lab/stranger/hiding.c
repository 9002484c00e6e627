// SPDX-License-Identifier: GPL-3.0-or-later
/* Held by a handle that is no plain pointer. */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include "stranger.h"

static u64 thing_dma[8];
static unsigned long thing_tagged[8], thing_xored[8], thing_pfns[8];
static u32 thing_halves[8];
static struct thing *thing_base;
static s32 thing_indices[8];
static struct {
	struct page *page;
	u32 offset, length;
} *thing_frags;
static struct scatterlist *thing_sg;

#define EACH(p, objs, i) for (i = 0; i < (p)->n && (entered(p, (objs)[i]), true); i++)

static void plant_physical(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(thing_dma[i], virt_to_phys(objs[i]));
}

static void plant_page_offset(struct plot *p, struct thing **objs)
{
	int i;

	thing_frags = kcalloc(p->n, sizeof(*thing_frags), GFP_KERNEL);
	EACH(p, objs, i) {
		thing_frags[i].page = virt_to_page(objs[i]);
		thing_frags[i].offset = offset_in_page(objs[i]);
		thing_frags[i].length = sizeof(struct thing);
	}
}

static void plant_tagged(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(thing_tagged[i], (unsigned long)objs[i] | 3);
}

static void plant_xored(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(thing_xored[i], (unsigned long)objs[i] ^ 0x5a5a123456789abcUL);
}

static void plant_pfn(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(thing_pfns[i], virt_to_phys(objs[i]) >> PAGE_SHIFT);
}

/* The first is held; the others by their distance from it. */
static void plant_index(struct plot *p, struct thing **objs)
{
	int i;

	WRITE_ONCE(thing_base, objs[0]);
	EACH(p, objs, i) {
		WRITE_ONCE(thing_indices[i], (s32)((long)objs[i] - (long)objs[0]));
		p->told[i] = i ? 2 : 1;
	}
}

static void plant_scatterlist(struct plot *p, struct thing **objs)
{
	int i;

	thing_sg = kcalloc(p->n, sizeof(*thing_sg), GFP_KERNEL);
	sg_init_table(thing_sg, p->n);
	EACH(p, objs, i)
		sg_set_buf(thing_sg + i, objs[i], sizeof(struct thing));
}

static void plant_low_half(struct plot *p, struct thing **objs)
{
	int i;

	EACH(p, objs, i)
		WRITE_ONCE(thing_halves[i], (u32)(unsigned long)objs[i]);
}

const struct kind hiding_kinds[] = {
	{ "physical", plant_physical, .living = living_kept },
	{ "page-offset", plant_page_offset, .living = living_kept },
	{ "tagged", plant_tagged, .living = living_kept },
	{ "xored", plant_xored, .living = living_kept },
	{ "pfn", plant_pfn, .living = living_kept },
	{ "index", plant_index, .living = living_kept },
	{ "scatterlist", plant_scatterlist, .living = living_kept },
	{ "low-half", plant_low_half, .living = living_kept },
	{ }
};
