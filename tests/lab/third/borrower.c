// SPDX-License-Identifier: GPL-3.0-or-later
/* Another module, which keeps what it was lent. */
#include <linux/module.h>

static void *borrowed[4];

void third_borrow(void *object, int which);

void third_borrow(void *object, int which)
{
	WRITE_ONCE(borrowed[which], object);
}
EXPORT_SYMBOL_GPL(third_borrow);

MODULE_LICENSE("GPL");
