// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects that are found by something that is no pointer to them. */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>

#include "plant.h"

#define PRESENT_AND_WRITABLE 0x63 /* a page table entry's low bits */

static u64 *slabplant_ring_of[2][PLOTS_A_KIND];

static void plant_ring(struct plot *p, unsigned int which, u64 flags)
{
	u64 *ring = kcalloc(MOST_PLANTS, sizeof(*ring), GFP_KERNEL);
	unsigned int i;

	slabplant_ring_of[which][p->variant] = ring;
	if (!ring)
		return;
	for_each_plant(p, i) {
		ring[i] = virt_to_phys(p->o[i]) | flags;
		handle(p, p->o[i], &ring[i], "slabplant_ring_of");
	}
}

static void plant_physical(struct plot *p)
{
	plant_ring(p, 0, 0);
}

/* As a page table has its levels, or a descriptor: the page's frame, the rest are flags. */
static void plant_flagged(struct plot *p)
{
	unsigned int i;

	plant_ring(p, 1, 0);
	for_each_plant(p, i)
		if (slabplant_ring_of[1][p->variant])
			slabplant_ring_of[1][p->variant][i] =
				(virt_to_phys(p->o[i]) & PAGE_MASK) | PRESENT_AND_WRITABLE;
}

/* The words of a bio_vec. */
struct slabplant_vec {
	struct page *page;
	unsigned int length, offset;
};
struct slabplant_vec *slabplant_vecs[PLOTS_A_KIND];

static void plant_vec(struct plot *p)
{
	struct slabplant_vec *vecs = kcalloc(MOST_PLANTS, sizeof(*vecs), GFP_KERNEL);
	unsigned int i;

	slabplant_vecs[p->variant] = vecs;
	if (!vecs)
		return;
	for_each_plant(p, i) {
		vecs[i].page = virt_to_page(p->o[i]);
		vecs[i].length = p->size;
		vecs[i].offset = offset_in_page(p->o[i]);
		handle(p, p->o[i], &vecs[i].page, "slabplant_vecs");
	}
}

struct scatterlist *slabplant_sg[PLOTS_A_KIND];

static void plant_sg(struct plot *p)
{
	struct scatterlist *sg = kcalloc(MOST_PLANTS, sizeof(*sg), GFP_KERNEL);
	unsigned int i;

	slabplant_sg[p->variant] = sg;
	if (!sg)
		return;
	sg_init_table(sg, p->n);
	for_each_plant(p, i) {
		sg_set_buf(&sg[i], p->o[i], p->size);
		handle(p, p->o[i], &sg[i].page_link, "slabplant_sg");
	}
}

static struct slabplant_place {
	u32 frame, offset;
} slabplant_frames[PLOTS_A_KIND][MOST_PLANTS] __aligned(8);

static void plant_frame(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_frames[p->variant][i].frame = virt_to_phys(p->o[i]) >> PAGE_SHIFT;
		slabplant_frames[p->variant][i].offset = offset_in_page(p->o[i]);
		handle(p, p->o[i], &slabplant_frames[p->variant][i], "slabplant_frames");
	}
}

/* Their distance from one that is known, in units of 8 bytes: as a compressed pointer. */
static struct {
	unsigned int known;
	u32 units[MOST_PLANTS];
} slabplant_indices[PLOTS_A_KIND];

static void plant_index(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		slabplant_indices[p->variant].units[i] =
			((unsigned long)p->o[i] - PAGE_OFFSET) >> 3;
		handle(p, p->o[i], NULL, "slabplant_indices");
	}
	slabplant_indices[p->variant].known = p->n;
}

const struct kind hidden_kinds[] = {
	{ "hidden:physical", TAKEN_OFF, BY_HANDLE, .plant = plant_physical },
	{ "hidden:physical-flags", INSERTED, BY_HANDLE, NO_HEAD, .plant = plant_flagged },
	{ "hidden:page-offset", TAKEN_OFF, BY_HANDLE, .plant = plant_vec },
	{ "hidden:scatterlist", NEVER_LINKED, BY_HANDLE, .plant = plant_sg },
	{ "hidden:frame", TAKEN_OFF, BY_HANDLE, .plant = plant_frame },
	{ "hidden:index", TAKEN_OFF, BY_HANDLE, .plant = plant_index },
	{}
};
