// SPDX-License-Identifier: GPL-3.0-or-later
/* Objects on lists, in hash tables, in chains of callbacks: held by the head. */
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/vmalloc.h>

#include "plant.h"

#define BUCKETS 16

/* All on one list, whose head lies at `head`. */
static void plant_list(struct plot *p, struct list_head *head, const char *owner)
{
	unsigned int i;

	if (!head)
		return;
	INIT_LIST_HEAD(head);
	for_each_plant(p, i) {
		list_add_tail(&p->o[i]->list, head);
		held(p, p->o[i], &p->o[i]->list.prev->next, owner);
	}
}

static struct list_head slabplant_list[PLOTS_A_KIND];

static void plant_list_data(struct plot *p)
{
	plant_list(p, &slabplant_list[p->variant], "slabplant_list");
}

static void plant_list_vmalloc(struct plot *p)
{
	char *area = keep(vzalloc(3 * PAGE_SIZE));

	if (area)
		plant_list(p, (void *)(area + PAGE_SIZE + 0x340), "vmalloc");
}

struct slabplant_keeper {
	u64 number[5];
	struct list_head members;
};

static void plant_list_object(struct plot *p)
{
	struct slabplant_keeper *k = keep(kzalloc(sizeof(*k), GFP_KERNEL));

	if (k)
		plant_list(p, &k->members, "slabplant_keeper");
}

static void plant_hlist(struct plot *p)
{
	struct hlist_head *table = keep(kcalloc(BUCKETS, sizeof(*table), GFP_KERNEL));
	unsigned int i;

	if (!table)
		return;
	for_each_plant(p, i)
		hlist_add_head(&p->o[i]->hnode, &table[i % BUCKETS]);
	for_each_plant(p, i)
		held(p, p->o[i], p->o[i]->hnode.pprev, "hash-bucket");
}

static struct hlist_head slabplant_hash[PLOTS_A_KIND][BUCKETS];

static void plant_hlist_data(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i)
		hlist_add_head(&p->o[i]->hnode, &slabplant_hash[p->variant][i % BUCKETS]);
	for_each_plant(p, i)
		held(p, p->o[i], p->o[i]->hnode.pprev, "slabplant_hash");
}

static void plant_nulls(struct plot *p)
{
	struct hlist_nulls_head *table = keep(vzalloc(BUCKETS * sizeof(*table)));
	unsigned int i;

	if (!table)
		return;
	for (i = 0; i < BUCKETS; i++)
		INIT_HLIST_NULLS_HEAD(&table[i], i);
	for_each_plant(p, i)
		hlist_nulls_add_head(&p->o[i]->nulls, &table[i % BUCKETS]);
	for_each_plant(p, i)
		held(p, p->o[i], p->o[i]->nulls.pprev, "hash-bucket");
}

static void plant_bl(struct plot *p)
{
	struct hlist_bl_head *table = keep(kcalloc(BUCKETS, sizeof(*table), GFP_KERNEL));
	unsigned int i;

	if (!table)
		return;
	for_each_plant(p, i) {
		hlist_bl_lock(&table[i % BUCKETS]);
		hlist_bl_add_head(&p->o[i]->bl, &table[i % BUCKETS]);
		if (i % 3 || i + BUCKETS < p->n)
			hlist_bl_unlock(&table[i % BUCKETS]);
		else /* the lock's bit stays set, as in a dump taken while it is held */
			preempt_enable();
	}
	for_each_plant(p, i)
		held(p, p->o[i], p->o[i]->bl.pprev, "hash-bucket");
}

static struct llist_head slabplant_llist[PLOTS_A_KIND];

static void plant_llist(struct plot *p)
{
	struct llist_node **where = &slabplant_llist[p->variant].first;
	unsigned int i;

	for_each_plant(p, i)
		llist_add(&p->o[i]->lnode, &slabplant_llist[p->variant]);
	for (i = p->n; i-- > 0; where = &p->o[i]->lnode.next)
		held(p, p->o[i], where, "slabplant_llist");
}

static struct klist slabplant_klist[PLOTS_A_KIND];

static void plant_klist(struct plot *p)
{
	unsigned int i;

	klist_init(&slabplant_klist[p->variant], NULL, NULL);
	for_each_plant(p, i) {
		klist_add_tail(&p->o[i]->knode, &slabplant_klist[p->variant]);
		held(p, p->o[i], &p->o[i]->knode.n_node.prev->next, "slabplant_klist");
	}
}

static void release_kobject(struct kobject *kobj)
{
}

static struct kobj_type slabplant_ktype = { .release = release_kobject };

static void plant_kobject(struct plot *p)
{
	struct kset *set = keep(kset_create_and_add(p->name, NULL, NULL));
	unsigned int i;

	if (!set)
		return;
	for_each_plant(p, i) {
		p->o[i]->kobj.kset = set;
		if (kobject_init_and_add(&p->o[i]->kobj, &slabplant_ktype, NULL, "plant%u", i))
			return;
		held(p, p->o[i], &p->o[i]->kobj.entry.prev->next, "kset");
	}
}

static int plant_notified(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static RAW_NOTIFIER_HEAD(slabplant_chain);

/* A notifier's predecessor changes with each that is added: no place of their own. */
static void plant_notifier(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		p->o[i]->notifier.notifier_call = plant_notified;
		raw_notifier_chain_register(&slabplant_chain, &p->o[i]->notifier);
		held(p, p->o[i], NULL, "slabplant_chain");
	}
}

/* The head of this chain lies in the kernel's own data. */
static void plant_reboot_notifier(struct plot *p)
{
	unsigned int i;

	for_each_plant(p, i) {
		p->o[i]->notifier.notifier_call = plant_notified;
		register_reboot_notifier(&p->o[i]->notifier);
		held(p, p->o[i], NULL, "reboot_notifier_list");
	}
}

const struct kind list_kinds[] = {
	{ "held:list", INSERTED, HELD, .plant = plant_list_data },
	{ "held:list-in-vmalloc", INSERTED, HELD, .plant = plant_list_vmalloc },
	{ "held:list-of-object", INSERTED, HELD, .plant = plant_list_object },
	{ "held:hlist", INSERTED, HELD, NO_HEAD, .plant = plant_hlist },
	{ "held:hlist-in-data", INSERTED, HELD, NO_HEAD, .plant = plant_hlist_data },
	{ "held:hlist-nulls", INSERTED, HELD, NO_HEAD, .plant = plant_nulls },
	{ "held:hlist-bl", INSERTED, HELD, NO_HEAD, .plant = plant_bl },
	{ "held:llist", INSERTED, HELD, NO_HEAD, .plant = plant_llist },
	{ "held:klist", TAKEN_OFF, HELD, .plant = plant_klist },
	{ "held:kobject", TAKEN_OFF, HELD, .plant = plant_kobject },
	{ "held:notifier", TAKEN_OFF, HELD, .plant = plant_notifier },
	{ "held:kernel-image", NEVER_LINKED, HELD, .plant = plant_reboot_notifier },
	{}
};
