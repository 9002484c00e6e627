/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pyextend.so: crash's `extend` learns to load Python scripts.
 *
 * Loading this puts our function into crash's command table in the place of cmd_extend(). It
 * deals with *.py and hands everything else to crash's own.
 *
 * Unloading: the interpreter cannot be stopped and started again, and it holds pointers into
 * this object (the module `crash`, the streams). So the object stays mapped for good, and
 * dlopen() will not run its constructor a second time. `extend -u pyextend.so` therefore
 * leaves our function in place, dormant: it passes everything on to crash's own, but for
 * `extend pyextend.so`, which wakes it.
 */
#include "pyextend.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <string.h>

static struct command_table_entry no_commands[] = {{NULL, NULL, NULL, 0}};
static char own_path[PATH_MAX];

/* --- Is this the crash that we were compiled for? -------------------------------------- */

struct layout {
	const char *name;
	size_t size;
};

/* crash's structs grow from release to release, and say so nowhere but in the sizes of the
 * variables that are made of them. */
static const struct layout layouts[] = {
	{"program_context", sizeof(struct program_context)},
	{"offset_table", sizeof(struct offset_table)},
	{"size_table", sizeof(struct size_table)},
	{"array_table", sizeof(struct array_table)},
	{"vm_table", sizeof(struct vm_table)},
	{"kernel_table", sizeof(struct kernel_table)},
};

/* True, too, where a crash doesn't tell. */
static bool same_layout(const struct layout *layout)
{
	void *address = dlsym(RTLD_DEFAULT, layout->name);
	ElfW(Sym) *symbol = NULL;
	Dl_info where;

	return !address || !dladdr1(address, &where, (void **)&symbol, RTLD_DL_SYMENT) ||
	       !symbol || symbol->st_size == layout->size;
}

static bool right_crash(void)
{
	size_t i;

#ifdef PYEXTEND_CRASH_RELEASE
	if (strcmp(build_version, PYEXTEND_CRASH_RELEASE)) {
		error(INFO, "%s was built for crash %s and this is %s: build it again\n",
		      PYEXTEND_NAME, PYEXTEND_CRASH_RELEASE, build_version);
		return false;
	}
#endif
	for (i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (!same_layout(&layouts[i])) {
			error(INFO, "%s was built for another crash than this %s (%s differs): "
			      "build it again\n", PYEXTEND_NAME, build_version,
			      layouts[i].name);
			return false;
		}
	return true;
}

/* --- `extend` ---------------------------------------------------------------------------- */

static struct extension_table *own_entry(void)
{
	struct extension_table *entry = extension_table;

	while (entry && entry->command_table != no_commands)
		entry = entry->next;
	return entry;
}

/* crash's own `extend`, with one option or none and one word or none. */
static void pass_on(char *option, char *word)
{
	argcnt = 0;
	args[argcnt++] = "extend";
	if (option)
		args[argcnt++] = option;
	if (word)
		args[argcnt++] = word;
	args[argcnt] = NULL;
	optind = argerrs = 0;
	cmd_extend();
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && !strcmp(text + length - end_length, end);
}

/* PyKdump brings a Python of its own. Its symbols and ours would be mixed up. */
static bool is_second_python(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strstr(slash ? slash + 1 : name, "pykdump");
}

/* The scripts that come with the loader itself. */
static void load_own(void)
{
#ifdef PYEXTEND_BUNDLE
	script_load_own();
#endif
}

static void wake_up(void)
{
	sigset_t mask;

	sigint_hold(&mask);
	if (extension_add(own_path, no_commands, "shared object"))
		load_own();
	sigint_release(&mask);
}

static void load(char *name)
{
	if (!own_entry()) {
		if (names_file(name, own_path))
			wake_up();
		else
			pass_on(NULL, name);
	} else if (ends_with(name, ".py")) {
		script_load(name);
	} else if (is_second_python(name)) {
		error(INFO, "%s: load it before " PYEXTEND_NAME ": one crash holds one Python\n",
		      name);
	} else {
		pass_on(NULL, name);
	}
}

static void unload(char *name)
{
	struct extension_table *entry = own_entry();

	if (!entry) {
		pass_on("-u", name);
	} else if (!name) {
		scripts_unload_all();
		if (!program_depth())
			pass_on("-u", NULL);
	} else if (names_file(name, own_path)) {
		scripts_unload_all();
		if (!program_depth())
			pass_on("-u", entry->filename);
	} else if (ends_with(name, ".py")) {
		if (script_unload(name))
			return;
		if (get_command_table_entry("epython"))
			error(INFO, "%s: PyKdump has its commands, and keeps them until crash ends\n",
			      name);
		else
			error(INFO, "%s: not loaded\n", name);
	} else {
		pass_on("-u", name);
	}
}

static void extend(void)
{
	char *words[MAXARGS];
	int count = 0, options = 0, i;
	bool unloading = false;

	/* What we call below uses crash's arguments, too. */
	for (i = 1; i < argcnt; i++) {
		if (args[i][0] == '-') {
			options++;
			unloading |= !strcmp(args[i], "-u");
		} else {
			words[count++] = args[i];
		}
	}
	if (options > 1 || (options && !unloading) || (!options && !count)) {
		cmd_extend();
		return;
	}
	if (!count)
		unload(NULL);
	for (i = 0; i < count; i++) {
		if (unloading)
			unload(words[i]);
		else
			load(words[i]);
	}
}

/* --- Arrival ----------------------------------------------------------------------------- */

static struct command_table_entry *extend_entry(void)
{
	struct command_table_entry *entry = pc->cmd_table;

	while (entry->name && strcmp(entry->name, "extend"))
		entry++;
	return entry->name ? entry : NULL;
}

/* `extend pyextend.so slableak.py`: crash's own function is at work on that line, and would take
 * each script for a shared object. They are loaded from in here, and it never sees them.
 * Not where PyKdump is: its command may longjmp, which must not cross dlopen(). */
static void take_scripts_behind(void)
{
	int from, to;

	if (strcmp(pc->curcmd, "extend") || !args[optind] || !names_path(args[optind], own_path) ||
	    get_command_table_entry("epython"))
		return;
	for (from = to = optind + 1; args[from]; from++) {
		if (ends_with(args[from], ".py"))
			script_load(args[from]);
		else
			args[to++] = args[from];
	}
	args[to] = NULL;
	argcnt = to;
}

/* Where this returns early crash finds nothing registered, reports that and unloads us. */
static void arrive(void)
{
	struct command_table_entry *entry;
	Dl_info where;

	if (!right_crash())
		return;
#ifdef PYEXTEND_BUNDLE
	if (get_command_table_entry("epython")) {
		error(INFO, PYEXTEND_NAME ": PyKdump is loaded, and one crash holds one Python: "
		      "with it, use \"epython slableak.py\"\n");
		return;
	}
#endif
	entry = extend_entry();
	if (!entry || entry->func != cmd_extend) {
		error(INFO, "another extension has taken over `extend`: another pyextend.so or slableak.so?\n");
		return;
	}
	if (!dladdr(no_commands, &where) || !realpath(where.dli_fname, own_path)) {
		error(INFO, PYEXTEND_NAME " cannot tell where it lies\n");
		return;
	}
	register_extension(no_commands);
	if (!(pc->curext->flags & REGISTERED))
		return;
	/* Never unmapped: see above. And global at once, not only when crash's dlopen() returns:
	 * what Python loads for a script from in here looks for libpython's symbols there. */
	if (!dlopen(own_path, RTLD_NOW | RTLD_NODELETE | RTLD_GLOBAL)) {
		error(INFO, "%s\n", dlerror());
		pc->curext->flags &= ~REGISTERED;
		return;
	}
	scripts_init(own_path);
	entry->func = extend;
	load_own();
	take_scripts_behind();
}

/* crash's dlopen() is at work, which a longjmp would leave locked: Ctrl-C stops a script that is
 * loaded from in here, and is dropped at any other moment. */
static void __attribute__((constructor)) arrive_held(void)
{
	sigset_t mask;

	sigint_hold(&mask);
	arrive();
	sigint_forget();
	sigint_release(&mask);
}
