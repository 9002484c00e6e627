// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects that only each other know: lost as a whole, or held by one of them. */
#include "plant.h"

static void lost_all(struct plot *p, enum loss first, enum loss rest)
{
	unsigned int i;

	for_each_plant(p, i)
		lost(p, p->o[i], i ? rest : first);
}

/* Nodes that know their parent: each is pointed to. */
static void plant_tree(struct plot *p)
{
	struct rb_root root = RB_ROOT;
	unsigned int i;

	for_each_plant(p, i) {
		struct rb_node **at = &root.rb_node, *parent = NULL;

		while (*at) {
			parent = *at;
			at = &parent->rb_right; /* ids grow */
		}
		rb_link_node(&p->o[i]->rb, parent, at);
		rb_insert_color(&p->o[i]->rb, &root);
	}
	lost_all(p, p->n > 1 ? CYCLE : DEFINITE, CYCLE);
}

static void join_downwards(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		if (2 * i + 1 < p->n)
			p->o[i]->next = p->o[2 * i + 1];
		if (2 * i + 2 < p->n)
			p->o[i]->more = p->o[2 * i + 2];
	}
}

static void plant_tree_down(struct plot *p)
{
	join_downwards(p);
	lost_all(p, DEFINITE, INDIRECT);
}

static void join_ring(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		p->o[i]->next = p->o[(i + 1) % p->n];
}

static void plant_ring(struct plot *p)
{
	join_ring(p);
	lost_all(p, p->n > 1 ? CYCLE : DEFINITE, CYCLE);
}

/* A list whose head was one of the objects' own nodes, or was simply taken off. */
static void plant_list_ring(struct plot *p)
{
	unsigned int i;

	for (i = 1; i < p->n; i++)
		list_add_tail(&p->o[i]->list, &p->o[0]->list);
	lost_all(p, p->n > 1 ? CYCLE : DEFINITE, CYCLE);
}

static void join_chain(struct plot *p)
{
	unsigned int i;

	for (i = 0; i + 1 < p->n; i++)
		p->o[i]->next = p->o[i + 1];
}

static void plant_chain(struct plot *p)
{
	join_chain(p);
	lost_all(p, DEFINITE, INDIRECT);
}

/* The first leads into a ring of the others. */
static void plant_lasso(struct plot *p)
{
	join_chain(p);
	if (p->n > 2)
		p->o[p->n - 1]->next = p->o[1];
	lost_all(p, DEFINITE, INDIRECT);
}

/* A parent, an array of its children: they don't know it. */
static void plant_parent(struct plot *p)
{
	void **children = kcalloc(MOST_PLANTS, sizeof(*children), GFP_KERNEL);
	unsigned int i;

	if (!children)
		return;
	for (i = 1; i < p->n; i++)
		children[i - 1] = p->o[i];
	p->o[0]->more = (void *)children;
	lost_all(p, DEFINITE, INDIRECT);
	beside(p, children, MOST_PLANTS * sizeof(*children), "children", INDIRECT);
}

/* The same, with children who know their parent. */
static void plant_parent_known(struct plot *p)
{
	unsigned int i;

	for (i = 1; i < p->n; i++) {
		p->o[i]->more = p->o[0];
		list_add_tail(&p->o[i]->list, &p->o[0]->list);
	}
	lost_all(p, p->n > 1 ? CYCLE : DEFINITE, CYCLE);
}

struct satellite {
	u64 number;
	struct plant *back;
	u64 more[6];
};

static void add_satellites(struct plot *p, bool back)
{
	unsigned int i;

	for_each_plant(p, i) {
		struct satellite *s = kzalloc(sizeof(*s), GFP_KERNEL);

		if (!s)
			continue;
		s->number = i;
		if (back)
			s->back = p->o[i];
		p->o[i]->next = (void *)s;
		lost(p, p->o[i], back ? CYCLE : DEFINITE);
		beside(p, s, sizeof(*s), "satellite", back ? CYCLE : INDIRECT);
	}
}

static void plant_satellites(struct plot *p)
{
	add_satellites(p, false);
}

static void plant_satellites_back(struct plot *p)
{
	add_satellites(p, true);
}

/* One pointer from the module's data holds them all. */
static struct plant *slabplant_ring[PLOTS_A_KIND], *slabplant_tree[PLOTS_A_KIND];

static void plant_ring_held(struct plot *p)
{
	unsigned int i;

	join_ring(p);
	slabplant_ring[p->variant] = p->o[0];
	for_each_plant(p, i)
		held(p, p->o[i], i ? (void *)&p->o[i - 1]->next :
		     (void *)&slabplant_ring[p->variant], "slabplant_ring");
}

static void plant_tree_held(struct plot *p)
{
	unsigned int i;

	join_downwards(p);
	slabplant_tree[p->variant] = p->o[0];
	for_each_plant(p, i) {
		struct plant *up = i ? p->o[(i - 1) / 2] : NULL;

		held(p, p->o[i], !i ? (void *)&slabplant_tree[p->variant] :
		     i % 2 ? (void *)&up->next : (void *)&up->more, "slabplant_tree");
	}
}

const struct kind group_kinds[] = {
	{ "lost:tree", DROPPED, CYCLE, NO_HEAD, .plant = plant_tree },
	{ "lost:tree-down", DROPPED, INDIRECT, NO_HEAD, .plant = plant_tree_down },
	{ "lost:ring", DROPPED, CYCLE, NO_HEAD, .plant = plant_ring },
	{ "lost:list-ring", HEAD_GONE, CYCLE, .plant = plant_list_ring },
	{ "lost:chain", DROPPED, INDIRECT, NO_HEAD, .plant = plant_chain },
	{ "lost:lasso", DROPPED, INDIRECT, NO_HEAD, .plant = plant_lasso },
	{ "lost:parent", DROPPED, INDIRECT, NO_HEAD, .plant = plant_parent },
	{ "lost:parent-known", DROPPED, CYCLE, CHILDREN, .plant = plant_parent_known },
	{ "lost:satellites", TAKEN_OFF, DEFINITE, .plant = plant_satellites },
	{ "lost:satellites-back", TAKEN_OFF, CYCLE, .plant = plant_satellites_back },
	{ "held:ring-by-one", INSERTED, HELD, NO_HEAD, .plant = plant_ring_held },
	{ "held:tree-by-root", INSERTED, HELD, NO_HEAD, .plant = plant_tree_held },
	{}
};
