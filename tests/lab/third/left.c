// SPDX-License-Identifier: GPL-3.0-or-later
/* What a structure leaves in an object that it has given up, and words that look like that. */
#include <linux/io.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include "third.h"

#define SAID_BEFORE 0xdead000000000122ULL

static struct rb_root erased_tree = RB_ROOT;
static LIST_HEAD(settings);
static struct {
	void *head, *data, *tail, *end;
} window;
static phys_addr_t first_descriptor;

static void put_late(struct rcu_head *head)
{
	struct item *n = container_of(head, struct item, rcu);

	/* One reference is left: it's not freed. */
	n->key++;
}

/* RCU has called the function of each, and it freed none. */
static void rcu_done(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		call_rcu(&((struct item *)objs[i])->rcu, put_late);
	rcu_barrier();
}

static void insert(struct item *n)
{
	struct rb_node **link = &erased_tree.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = n->key < rb_entry(parent, struct item, rb)->key ? &parent->rb_left :
									&parent->rb_right;
	}
	rb_link_node(&n->rb, parent, link);
	rb_insert_color(&n->rb, &erased_tree);
}

/* Erased one by one, and not freed. */
static void erased(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		insert(objs[i]);
	for (i = 0; i < l->n; i++)
		rb_erase(&((struct item *)objs[i])->rb, &erased_tree);
}

/* Others have taken their places on the list. */
static void replaced(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		list_add_tail(&((struct item *)objs[i])->sibling, &settings);
	for (i = 0; i < l->n; i++) {
		struct item *newer = kzalloc(sizeof(*newer), GFP_KERNEL);

		list_replace(&((struct item *)objs[i])->sibling, &newer->sibling);
	}
}

/* Taken off, and their links closed. */
static void taken_init(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		list_add_tail(&((struct item *)objs[i])->sibling, &settings);
	for (i = 0; i < l->n; i++)
		list_del_init(&((struct item *)objs[i])->sibling);
}

/* 2: held by a window. 1: lost, and begins where the window ends. */
static void buffer_end(struct leak *l, void **objs)
{
	void *more[31];
	int i;

	for (i = 0; i < ARRAY_SIZE(more); i++)
		more[i] = fresh(l, l->left);
	for (i = 0; i < ARRAY_SIZE(more); i++)
		if (more[i] == objs[0] + sizeof(struct desc))
			swap(more[i], objs[1]);
	for (i = 0; i < ARRAY_SIZE(more); i++)
		kmem_cache_free(l->left, more[i]);
	memzero_explicit(more, sizeof(more));
	WRITE_ONCE(window.head, objs[0]);
	WRITE_ONCE(window.data, objs[0]);
	WRITE_ONCE(window.tail, objs[0] + 32);
	WRITE_ONCE(window.end, objs[0] + sizeof(struct desc));
	l->told[0] = 2;
	l->told[1] = 1;
}

/* Each has the physical address of the next, and the device's that of the first. */
static void descriptor_chain(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i + 1 < l->n; i++)
		((struct desc *)objs[i])->words[2] = virt_to_phys(objs[i + 1]);
	WRITE_ONCE(first_descriptor, virt_to_phys(objs[0]));
}

/* A magic number as LIST_POISON2, behind an odd and an even number. Never on a list. */
static void like_poison(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		((struct desc *)objs[i])->words[4] = 3 + i;
		((struct desc *)objs[i])->words[5] = SAID_BEFORE;
	}
}

struct leak left_leaks[] = {
	{ "rcu-done", NODE, 5, false, rcu_done },
	{ "erased", NODE, 12, false, erased },
	{ "replaced", NODE, 3, false, replaced },
	{ "taken-init", NODE, 3, false, taken_init },
	{ "buffer-end", DESC, 2, false, buffer_end },
	{ "descriptor-chain", DESC, 4, false, descriptor_chain },
	{ "like-poison", DESC, 4, false, like_poison },
	{ }
};
