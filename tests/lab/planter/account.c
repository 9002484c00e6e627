// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The account of what was planted, read from /proc/slabtest: tests/lab/truth.py reads it.
 * It holds addresses complemented, and says what this module did, nothing that a kernel
 * or a reader of its dump thinks of it.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "plant.h"

#define MOST_RECORDS 16384
#define MOST_SETS 16
#define IN_A_LINE 32

enum role { PLANTED, LIVING, BESIDE };
static const char *const role_names[] = { "planted", "living", "beside" };
static const char *const loss_names[] = {
	"held", "definite", "indirect", "cycle", "handle", "freed", "transient",
};
static const char *const history_names[] = {
	"never-linked", "half-inserted", "taken-off", "taken-off-reset", "deleted", "inserted",
	"dropped", "never-written", "head-gone", "wiped", "reference-leaked", "unhashed",
	"erased", "deleted-rcu",
};

struct record {
	unsigned long addr, where;
	const char *owner;
	unsigned int size;
	u16 plot;
	u8 role, loss, history;
};

struct set {
	const char *what;
	enum loss loss;
	unsigned long *hidden;
	unsigned int n;
};

static struct plot *plots[512];
static unsigned int plots_used;
static struct record *records;
static unsigned int nr_records, nr_refused;
static struct set sets[MOST_SETS];
static unsigned int nr_sets, nr_set_lines;
static DEFINE_MUTEX(building);
static bool built;

unsigned int nr_plots(void)
{
	return plots_used;
}

struct plot *plot(unsigned int i)
{
	return plots[i];
}

void note_plot(struct plot *p)
{
	if (plots_used < ARRAY_SIZE(plots))
		plots[plots_used++] = p;
	else
		nr_refused++;
}

static struct record *find(void *o)
{
	unsigned int i;

	for (i = nr_records; i-- > 0; )
		if (records[i].addr == hide(o))
			return &records[i];
	return NULL;
}

static struct record *record(struct plot *p, void *o, enum role role, enum loss loss)
{
	struct record *r;

	if (nr_records == MOST_RECORDS) {
		nr_refused++;
		return NULL;
	}
	r = &records[nr_records++];
	*r = (struct record){ .addr = hide(o), .where = hide(NULL), .owner = "-",
			      .size = p->size, .role = role, .loss = loss,
			      .history = role == LIVING ? INSERTED : p->kind->history };
	while (r->plot + 1 < plots_used && plots[r->plot] != p)
		r->plot++;
	return r;
}

static void place(struct record *r, void *where, const char *owner)
{
	if (!r)
		return;
	r->where = hide(where);
	r->owner = owner;
}

void held(struct plot *p, void *o, void *where, const char *owner)
{
	place(record(p, o, PLANTED, HELD), where, owner);
}

void handle(struct plot *p, void *o, void *where, const char *owner)
{
	place(record(p, o, PLANTED, BY_HANDLE), where, owner);
}

void lost(struct plot *p, void *o, enum loss loss)
{
	record(p, o, PLANTED, loss);
}

void no_holder(struct plot *p, void *o, void *where, const char *what)
{
	place(record(p, o, PLANTED, DEFINITE), where, what);
}

void gone(struct plot *p, void *o, const char *how)
{
	place(record(p, o, PLANTED, FREED), NULL, how);
}

void beside(struct plot *p, void *o, unsigned int size, const char *what, enum loss loss)
{
	struct record *r = record(p, o, BESIDE, loss);

	place(r, NULL, what);
	if (r)
		r->size = size;
}

void remember(void *o, enum history history)
{
	struct record *r = find(o);

	if (r)
		r->history = history;
}

void living(struct plot *p, struct plant *o)
{
	place(record(p, o, LIVING, HELD), NULL, "slabplant_living");
}

void move_to(void *o, void *where)
{
	struct record *r = find(o);

	if (r)
		r->where = hide(where);
}

void many(const char *what, enum loss loss, unsigned long *hidden, unsigned int n)
{
	if (nr_sets == MOST_SETS) {
		nr_refused++;
		return;
	}
	sets[nr_sets++] = (struct set){ what, loss, hidden, n };
	nr_set_lines += DIV_ROUND_UP(n, IN_A_LINE);
}

/*
 * T plot NAME KIND HISTORY SIZE COUNT traces|plain leftover|living CACHE TWIN
 * (addresses; TWIN 0: none; CACHE 0: kmalloc)
 */
static void show_plot(struct seq_file *m, const struct plot *p)
{
	seq_printf(m, "T plot %s %s %s %u %u %s %s %px %px\n", p->name, p->kind->name,
		   history_names[p->kind->history], p->kind->heap ?: p->size, p->n,
		   p->traces ? "traces" : "plain", p->leftover ? "leftover" : "living",
		   p->cache, p->twin_cache);
}

/*
 * T plant PLOT ROLE ADDRESS SIZE HISTORY LOSS WHERE WORD OWNER HEX
 * WHERE: address of the word that has the pointer, 0 where it is no fixed one; WORD: what
 * stands there now; HEX: the object's first bytes, those that no kernel code changes.
 */
static void show_record(struct seq_file *m, const struct record *r)
{
	unsigned long *where = shown(r->where);
	/* a word in memory that has been given back is the dump's to tell */
	bool readable = where && r->loss != DEFINITE;

	seq_printf(m, "T plant %s %s %px %u %s %s %px %lx %s ", plots[r->plot]->name,
		   role_names[r->role], shown(r->addr), r->size, history_names[r->history],
		   loss_names[r->loss], where, readable ? *where : 0, r->owner);
	if (r->loss == FREED)
		seq_puts(m, "-\n");
	else
		seq_printf(m, "%*phN%*phN\n", (int)min_t(unsigned int, r->size, 64),
			   shown(r->addr),
			   r->size < PLANT_STABLE ? 0 : (int)PLANT_STABLE - 64,
			   shown(r->addr) + 64);
}

/* T many WHAT LOSS ADDRESS... */
static void show_set(struct seq_file *m, unsigned int line)
{
	const struct set *s = sets;
	unsigned int i;

	while (line >= DIV_ROUND_UP(s->n, IN_A_LINE))
		line -= DIV_ROUND_UP(s++->n, IN_A_LINE);
	seq_printf(m, "T many %s %s", s->what, loss_names[s->loss]);
	for (i = line * IN_A_LINE; i < min(s->n, (line + 1) * IN_A_LINE); i++)
		seq_printf(m, " %lx", ~s->hidden[i]);
	seq_putc(m, '\n');
}

static void *account_start(struct seq_file *m, loff_t *pos)
{
	mutex_lock(&building);
	if (!built)
		build_all();
	built = true;
	mutex_unlock(&building);
	return *pos <= plots_used + nr_records + nr_set_lines ? pos : NULL;
}

static void *account_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return account_start(m, pos);
}

static void account_stop(struct seq_file *m, void *v)
{
}

static int account_show(struct seq_file *m, void *v)
{
	unsigned int i = *(loff_t *)v;

	if (i < plots_used)
		show_plot(m, plots[i]);
	else if ((i -= plots_used) < nr_records)
		show_record(m, &records[i]);
	else if ((i -= nr_records) < nr_set_lines)
		show_set(m, i);
	else
		seq_printf(m, "T planted %u %u %u %u\nT end 0 0 0\n", plots_used, nr_records,
			   nr_set_lines, nr_refused);
	return 0;
}

static const struct seq_operations account_ops = {
	.start = account_start, .next = account_next, .stop = account_stop,
	.show = account_show,
};

int __init account_init(void)
{
	records = vzalloc(MOST_RECORDS * sizeof(*records));
	if (!records || !proc_create_seq("slabtest", 0400, NULL, &account_ops))
		return -ENOMEM;
	return 0;
}
