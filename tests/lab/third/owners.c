// SPDX-License-Identifier: GPL-3.0-or-later
/* Somebody still has these: objects of the kernel's own, another module, variables. */
#include <linux/anon_inodes.h>
#include <linux/bio.h>
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/file.h>
#include <linux/interrupt.h>
#include <linux/kmod.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/umh.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "third.h"

static struct sk_buff_head backlog;
static struct socket *tunnel;
static struct platform_device *board;
static struct net_device *netdev;
static struct file *watched;
static struct bio_list bios;
static struct page *table_page;
static void *cursors[3];
static void *constant __ro_after_init;
static void *hooks[4];
static LIST_HEAD(idle_list);
static LIST_HEAD(busy_list);
static LIST_HEAD(dying_list);
static LIST_HEAD(sessions);
static LIST_HEAD(everybody);
static struct hlist_head by_id[8];

static const struct file_operations no_operations = { .owner = THIS_MODULE };

/* In the control block of socket buffers in a queue: backlog. */
static void skb_cb(struct leak *l, void **objs)
{
	int i;

	skb_queue_head_init(&backlog);
	for (i = 0; i < l->n; i++) {
		struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);

		memcpy(skb->cb, &objs[i], sizeof(void *));
		skb_queue_tail(&backlog, skb);
	}
}

/* A socket's user data, with a flag in the pointer: tunnel -> socket -> sock. */
static void sk_user_data(struct leak *l, void **objs)
{
	if (sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &tunnel))
		return;
	tunnel->sk->sk_user_data = (void *)((unsigned long)objs[0] | 1);
}

static int opener(void *object)
{
	struct file *file = anon_inode_getfile("[third]", &no_operations, object, O_RDWR);
	int fd = get_unused_fd_flags(0);

	object = NULL;
	fd_install(fd, file);
	return 0;
}

/* An open file's private data; the kernel's threads have the file open (init_files). */
static void file_open_(struct leak *l, void **objs)
{
	start(opener, objs[0]);
}

/* A registered device's driver data. */
static void drvdata(struct leak *l, void **objs)
{
	WRITE_ONCE(board, platform_device_register_simple("third", -1, NULL, 0));
	platform_set_drvdata(board, objs[0]);
}

static void board_action(void *data)
{
}

/* What a device's release will hand to board_action(). */
static void devres(struct leak *l, void **objs)
{
	if (devm_add_action(&board->dev, board_action, objs[0]))
		pr_err("no action\n");
}

static irqreturn_t board_irq(int irq, void *data)
{
	return IRQ_NONE;
}

/* The argument of an interrupt's handler, board_irq(). */
static void irq_argument(struct leak *l, void **objs)
{
	if (request_irq(5, board_irq, 0, "third", objs[0]))
		pr_err("no interrupt\n");
}

/* A character device, embedded: the kernel's map of them has it. */
static void char_device(struct leak *l, void **objs)
{
	struct item *n = objs[0];
	dev_t number;

	if (alloc_chrdev_region(&number, 0, 1, "third"))
		return;
	cdev_init(&n->cdev, &no_operations);
	if (cdev_add(&n->cdev, number, 1))
		pr_err("no device\n");
}

static const struct net_device_ops netdev_operations = { };

/* In a registered network device's private part. */
static void netdev_private(struct leak *l, void **objs)
{
	WRITE_ONCE(netdev, alloc_netdev(64, "third%d", NET_NAME_UNKNOWN, ether_setup));
	netdev->netdev_ops = &netdev_operations;
	eth_hw_addr_random(netdev);
	if (register_netdev(netdev))
		pr_err("no network device\n");
	((void **)netdev_priv(netdev))[3] = objs[0];
}

/* A file in debugfs: its inode's i_private. */
static void debugfs_file(struct leak *l, void **objs)
{
	debugfs_create_file("third", 0400, NULL, objs[0], &no_operations);
}

static int show_nothing(struct seq_file *file, void *unused)
{
	return 0;
}

/* The private data of the seq_file of an open file: watched. */
static void seq_private(struct leak *l, void **objs)
{
	struct file *file = anon_inode_getfile("[third]", &no_operations, NULL, O_RDONLY);
	WRITE_ONCE(watched, file);
	if (single_open(file, show_nothing, objs[0]))
		pr_err("no seq_file\n");
}

/* The argument of another module's: borrowed [borrower]. */
static void lent(struct leak *l, void **objs)
{
	char *arguments[] = { "/bin/insmod", "/borrower.ko", NULL };
	void (*borrow)(void *object, int which);
	int i;

	call_usermodehelper(arguments[0], arguments, NULL, UMH_WAIT_PROC);
	borrow = __symbol_get("third_borrow");
	if (!borrow)
		return;
	for (i = 0; i < l->n; i++)
		borrow(objs[i], i);
}

/* A variable that is read-only after init. */
static void read_only(struct leak *l, void **objs)
{
	WRITE_ONCE(constant, objs[0]);
}

/* Only pointers to a member in the middle: hooks. */
static void middle(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++)
		WRITE_ONCE(hooks[i], &((struct req *)objs[i])->retry);
}

/* Each has a page of its own, which leads back to it; what is next to be filled is known. */
static void page_cursor(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		void **ring = (void **)get_zeroed_page(GFP_KERNEL);

		((struct desc *)objs[i])->words[0] = (unsigned long)ring;
		ring[4] = objs[i];
		WRITE_ONCE(cursors[i], ring + 12);
	}
}

/* In a page that a variable has by its struct page: table_page. */
static void in_page(struct leak *l, void **objs)
{
	WRITE_ONCE(table_page, alloc_page(GFP_KERNEL | __GFP_ZERO));
	memcpy(page_address(table_page) + 1024, objs, l->n * sizeof(*objs));
}

/* The private data of bios on a list: bios. */
static void bio_private(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct bio *bio = kzalloc(sizeof(*bio), GFP_KERNEL);

		bio->bi_private = objs[i];
		bio_list_add(&bios, bio);
	}
}

static int on_reboot(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

/* To be called before a reboot: on_reboot(). */
static void reboot_notifier(struct leak *l, void **objs)
{
	struct item *n = objs[0];

	n->nb.notifier_call = on_reboot;
	register_reboot_notifier(&n->nb);
}

/* The exit empties two of three lists: all these are still on dying_list. */
static void third_list(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		list_add_tail(&c->list, i & 1 ? &idle_list : &busy_list);
		enter(c);
		list_move_tail(&c->list, &dying_list);
	}
}

struct session {
	struct list_head list;
	struct conn *cached;
	u64 number;
};

/* Out of the hash table; sessions on a list have a reference to it. */
static void cached_by(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct session *s = kzalloc(sizeof(*s), GFP_KERNEL);
		struct conn *c = objs[i];

		hlist_add_head(&c->hash, &by_id[1]);
		enter(c);
		list_add(&s->list, &sessions);
		s->cached = c;
		hlist_del_init(&c->hash);
	}
}

static void live_hashed(struct leak *l, void **objs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct conn *c = objs[i];

		hlist_add_head(&c->hash, &by_id[i % 8]);
		enter(c);
	}
}

/* Out of the hash table, and still on the list everybody. */
static void two_lists(struct leak *l, void **objs)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct conn *c = objs[i];

		hlist_add_head(&c->hash, &by_id[2]);
		list_add(&c->list, &everybody);
		enter(c);
		hlist_del(&c->hash);
	}
}

static void live_twice(struct leak *l, void **objs, int n)
{
	int i;

	live_hashed(l, objs, n);
	for (i = 0; i < n; i++)
		list_add(&((struct conn *)objs[i])->list, &clients[l->ix]);
}

struct leak owner_leaks[] = {
	{ "skb-cb", DESC, 3, false, skb_cb },
	{ "sk-user-data", CONN, 1, false, sk_user_data },
	{ "file-open", REQ, 1, false, file_open_ },
	{ "drvdata", CONN, 1, true, drvdata, live_conns },
	{ "devres", DESC, 1, false, devres },
	{ "irq", REQ, 1, false, irq_argument },
	{ "cdev", NODE, 1, false, char_device },
	{ "netdev-private", CONN, 1, false, netdev_private },
	{ "debugfs", DESC, 1, false, debugfs_file },
	{ "seq-private", REQ, 1, false, seq_private },
	{ "lent", DESC, 3, false, lent },
	{ "read-only", DESC, 1, false, read_only },
	{ "middle", REQ, 3, true, middle, live_reqs },
	{ "in-page", DESC, 3, false, in_page },
	{ "page-cursor", DESC, 3, false, page_cursor },
	{ "bio-private", DESC, 3, false, bio_private },
	{ "reboot-notifier", NODE, 1, false, reboot_notifier },
	{ "third-list", CONN, 40, true, third_list, live_conns },
	{ "cached-by", CONN, 3, true, cached_by, live_hashed },
	{ "two-lists", CONN, 3, true, two_lists, live_twice },
	{ }
};
