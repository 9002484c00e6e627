// SPDX-License-Identifier: GPL-3.0-or-later
/* A module whose data hold objects of slabplant, until it is unloaded. */
#include <linux/list.h>
#include <linux/module.h>

#define POINTERS 64

void slabplant_lend(struct list_head *head, void **pointers);

static LIST_HEAD(slabgone_list);
static void *slabgone_pointers[POINTERS];

static int __init slabgone_init(void)
{
	slabplant_lend(&slabgone_list, slabgone_pointers);
	return 0;
}

static void __exit slabgone_exit(void)
{
}

module_init(slabgone_init);
module_exit(slabgone_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a list head that goes away with its module");
