/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scripts: Python files that register commands, as crash's extensions do.
 *
 * To crash a loaded script is an entry in its list of extensions, like a shared object: so
 * `extend` lists it, `help` shows its commands, and pipes and redirection work. Typing a
 * command runs the file of its name in the script's directory.
 */
#include "pyextend.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define HELP_LINES 4

struct script {
	struct script *next;
	char path[PATH_MAX];
	char directory[PATH_MAX];
	int count;
	/* Ends with an entry without a name, as crash wants it. */
	struct command_table_entry *commands;
};

static struct script *scripts;
/* The one that is registering its commands. */
static struct script *loading;
static char loader_directory[PATH_MAX];
static char loader_file[PATH_MAX];

void scripts_init(const char *loader_path)
{
	char *slash;

	snprintf(loader_file, sizeof(loader_file), "%s", loader_path);
	snprintf(loader_directory, sizeof(loader_directory), "%s", loader_path);
	slash = strrchr(loader_directory, '/');
	if (slash)
		*slash = '\0';
}

/* --- Finding ------------------------------------------------------------------------- */

static bool is_file(const char *directory, const char *name, char *found)
{
	char path[PATH_MAX];
	struct stat status;

	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", directory, *directory ? "/" : "",
			     name) >= sizeof(path))
		return false;
	return !stat(path, &status) && !S_ISDIR(status.st_mode) && realpath(path, found);
}

/* Where crash looks for a shared object, then beside the loader. found: PATH_MAX. */
static bool find_file(const char *name, char *found)
{
	char near[PATH_MAX + 16];
	const char *places[] = {
		"", getenv("CRASH_EXTENSIONS"), "/usr/lib64/crash/extensions",
		"/usr/lib/crash/extensions", "./extensions",
	};
	static const char *const beside[] = {"", "/crash_ext", "/../crash_ext"};
	size_t i;

	/* crash's own rule for what is a path. */
	if (*name == '.' || *name == '/')
		return is_file("", name, found);
	for (i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (places[i] && is_file(places[i], name, found))
			return true;
	for (i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		snprintf(near, sizeof(near), "%s%s", loader_directory, beside[i]);
		if (is_file(near, name, found))
			return true;
	}
	return false;
}

bool names_path(const char *name, const char *path)
{
	char found[PATH_MAX];

	/* A file that is gone since can still be unloaded. */
	return !strcmp(name, path) || (find_file(name, found) && !strcmp(found, path));
}

bool names_file(const char *name, const char *path)
{
	const char *slash = strrchr(path, '/');

	return names_path(name, path) || !strcmp(name, slash ? slash + 1 : path);
}

/* --- crash's list -------------------------------------------------------------------- */

bool extension_add(const char *filename, struct command_table_entry *table, const char *what)
{
	struct extension_table *entry = calloc(1, sizeof(*entry) + strlen(filename) + 1);
	struct extension_table *outer = pc->curext;

	if (!entry) {
		error(INFO, "%s: out of memory\n", filename);
		return false;
	}
	/* One block: crash frees the entry alone. */
	entry->filename = (char *)(entry + 1);
	strcpy(entry->filename, filename);
	pc->curext = entry;
	register_extension(table);
	pc->curext = outer;
	/* A handle of our own for each, so that crash's own dlclose() is in order. */
	if (entry->flags & REGISTERED)
		entry->handle = dlopen(loader_file, RTLD_NOW);
	if (!entry->handle) {
		free(entry);
		return false;
	}
	fprintf(fp, "%s: %s loaded\n", filename, what);
	entry->next = extension_table;
	if (extension_table)
		extension_table->prev = entry;
	extension_table = entry;
	help_init();
	return true;
}

static void extension_remove(const struct command_table_entry *table)
{
	struct extension_table *entry = extension_table;

	while (entry && entry->command_table != table)
		entry = entry->next;
	if (!entry)
		return;
	if (entry->prev)
		entry->prev->next = entry->next;
	else
		extension_table = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	dlclose(entry->handle);
	free(entry);
	help_init();
}

/* --- Commands ------------------------------------------------------------------------ */

static const struct command_table_entry *command_of(const struct script *script,
						    const char *name)
{
	int i;

	for (i = 0; i < script->count; i++)
		if (!strcmp(script->commands[i].name, name))
			return &script->commands[i];
	return NULL;
}

/* What crash calls for every command of every script. */
static void run_command(void)
{
	char message[MESSAGE_SIZE], path[PATH_MAX];
	const struct script *script = scripts;
	int interrupts = sigint_count();

	while (script && !command_of(script, pc->curcmd))
		script = script->next;
	if (!script)
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.py", script->directory, pc->curcmd) >=
	    sizeof(path)) {
		error(INFO, "%s: path too long\n", script->directory);
		return;
	}
	switch (program_run(path, argcnt, args, message)) {
	case PROGRAM_FAILED:
		error(INFO, "%s\n", message);
		break;
	case PROGRAM_INTERRUPTED:
		error(INFO, "interrupted\n");
		break;
	case PROGRAM_DONE:
	case PROGRAM_EXITED:
	case PROGRAM_PIPE_CLOSED:
		break;
	}
	/* Else `repeat` would go on for ever: it looks for this, and no program can hide it. */
	if (pc->curcmd_flags & REPEAT && sigint_count() != interrupts)
		pc->flags |= _SIGINT_;
}

static void command_clear(struct command_table_entry *command)
{
	int i;

	/* crash remembers the last command by its name's address. */
	if (pc->lastcmd == command->name)
		pc->lastcmd = pc->program_name;
	free(command->name);
	for (i = 1; command->help_data && i < HELP_LINES; i++)
		free(command->help_data[i]);
	free(command->help_data);
}

/* crash takes name and synopsis of a help page for printf formats, a description only where it
 * holds a "%s" (cmd_usage() in crash's help.c). */
static char *printf_safe(const char *text, bool description)
{
	char *copy = malloc(2 * strlen(text) + 1), *to = copy;

	if (!copy)
		return NULL;
	if (description && !strstr(text, "%s"))
		return strcpy(copy, text);
	for (; *text; text++) {
		if (*text == '%')
			*to++ = '%';
		*to++ = *text;
	}
	*to = '\0';
	return copy;
}

static bool command_set(struct command_table_entry *command, char *const *texts)
{
	int i;

	memset(command, 0, sizeof(*command));
	command->func = run_command;
	command->name = strdup(texts[0]);
	command->help_data = calloc(HELP_LINES + 1, sizeof(char *));
	if (!command->name || !command->help_data)
		return false;
	command->help_data[0] = command->name;
	for (i = 1; i < HELP_LINES; i++) {
		command->help_data[i] = printf_safe(texts[i], i == HELP_LINES - 1);
		if (!command->help_data[i])
			return false;
	}
	return true;
}

static void script_free(struct script *script)
{
	int i;

	for (i = 0; i < script->count; i++)
		command_clear(&script->commands[i]);
	free(script->commands);
	free(script);
}

/* A word, since crash's line is split before the command is looked up; and the name of a file
 * in the script's directory. */
static bool is_command_name(const char *name)
{
	return *name && !strpbrk(name, " \t\n/\"()<>|!\\");
}

PyObject *script_register(PyObject *self, PyObject *arguments)
{
	struct command_table_entry *grown;
	char *texts[HELP_LINES];

	(void)self;
	if (!take_arguments(arguments, "ssss", &texts[0], &texts[1], &texts[2], &texts[3]))
		return NULL;
	if (!loading) {
		PyErr_SetString(crash_error, "commands are registered while `extend` loads a script");
		return NULL;
	}
	if (!is_command_name(texts[0])) {
		PyErr_Format(crash_error, "not a name for a command: '%s'", texts[0]);
		return NULL;
	}
	if (get_command_table_entry(texts[0]) || command_of(loading, texts[0])) {
		error(INFO, "%s: \"%s\" is a duplicate of a currently-existing command\n",
		      loading->path, texts[0]);
		Py_RETURN_FALSE;
	}
	grown = realloc(loading->commands, (size_t)(loading->count + 2) * sizeof(*grown));
	if (!grown)
		return PyErr_NoMemory();
	loading->commands = grown;
	memset(&grown[loading->count + 1], 0, sizeof(*grown));
	if (!command_set(&grown[loading->count++], texts))
		return PyErr_NoMemory();
	Py_RETURN_TRUE;
}

/* PyKdump counts its own command `epython` among them; it is here where it is there. */
PyObject *script_commands(PyObject *self, PyObject *none)
{
	PyObject *list = PyList_New(0);
	const struct script *script;
	int i;

	(void)self;
	(void)none;
	for (script = scripts; list && script; script = script->next)
		for (i = 0; list && i < script->count; i++) {
			PyObject *name = PyUnicode_FromString(script->commands[i].name);

			if (!name || PyList_Append(list, name))
				Py_CLEAR(list);
			Py_XDECREF(name);
		}
	return list;
}

/* --- Loading and unloading ----------------------------------------------------------- */

/* Where PyKdump is, there's a Python already: it gets the script. */
static bool hand_to_epython(char *path)
{
	char *command = pc->curcmd;

	if (!get_command_table_entry("epython"))
		return false;
	args[0] = "epython";
	args[1] = path;
	args[2] = NULL;
	argcnt = 2;
	exec_command();
	pc->curcmd = command;
	return true;
}

static struct script *script_new(const char *path)
{
	struct script *script = calloc(1, sizeof(*script));

	if (!script)
		return NULL;
	snprintf(script->path, sizeof(script->path), "%s", path);
	snprintf(script->directory, sizeof(script->directory), "%s", path);
	*strrchr(script->directory, '/') = '\0';
	script->commands = calloc(1, sizeof(*script->commands));
	if (!script->commands) {
		free(script);
		return NULL;
	}
	return script;
}

/* True: it ran and registered something. Else the line that says why not is out. */
static bool script_run(struct script *script)
{
	char message[MESSAGE_SIZE];
	struct script *outer = loading;
	enum outcome outcome;
	char *words[] = {script->path};

	loading = script;
	outcome = program_run(script->path, 1, words, message);
	loading = outer;
	switch (outcome) {
	case PROGRAM_FAILED:
		error(INFO, "%s: %s\n", script->path, message);
		return false;
	case PROGRAM_INTERRUPTED:
		error(INFO, "%s: interrupted\n", script->path);
		return false;
	case PROGRAM_PIPE_CLOSED:
		return false;
	case PROGRAM_DONE:
	case PROGRAM_EXITED:
		break;
	}
	if (!script->count)
		error(INFO, "%s: no commands registered: script not loaded\n", script->path);
	return script->count;
}

/* With SIGINT held: what is half loaded must not be left by longjmp, least of all a Python that
 * is about to start. The script itself can be interrupted. */
static void load_held(const char *path)
{
	char message[MESSAGE_SIZE];
	struct script *script;

	for (script = scripts; script; script = script->next)
		if (!strcmp(script->path, path)) {
			fprintf(fp, "%s: script already loaded\n", path);
			return;
		}
	if (!interpreter_start(message)) {
		error(INFO, "%s: %s\n", path, message);
		return;
	}
	script = script_new(path);
	if (!script) {
		error(INFO, "%s: out of memory\n", path);
		return;
	}
	if (!script_run(script) || !extension_add(path, script->commands, "script")) {
		program_forget(script->directory);
		script_free(script);
		return;
	}
	script->next = scripts;
	scripts = script;
}

static void load_path(const char *path)
{
	sigset_t mask;

	sigint_hold(&mask);
	load_held(path);
	sigint_release(&mask);
}

void script_load(const char *name)
{
	char path[PATH_MAX];

	if (!find_file(name, path))
		error(INFO, "%s: %s\n", name, strerror(ENOENT));
	else if (!hand_to_epython(path))
		load_path(path);
}

#ifdef PYEXTEND_BUNDLE
void script_load_own(void)
{
	static const char inside[] = "/crash_ext/slableak.py";
	char path[PATH_MAX];

	if (strlen(loader_file) + sizeof(inside) > sizeof(path)) {
		error(INFO, "%s: path too long\n", loader_file);
		return;
	}
	strcpy(path, loader_file);
	strcat(path, inside);
	load_path(path);
}
#endif

static void unload(struct script **link)
{
	struct script *script = *link;
	sigset_t mask;

	sigint_hold(&mask);
	*link = script->next;
	extension_remove(script->commands);
	program_forget(script->directory);
	fprintf(fp, "%s: script unloaded\n", script->path);
	script_free(script);
	sigint_release(&mask);
}

/* A program's own command table may be in use further up. */
static bool unloading_refused(const char *name)
{
	if (!program_depth())
		return false;
	error(INFO, "%s: not while a Python program is running\n", name);
	return true;
}

bool script_unload(const char *name)
{
	bool (*const means[])(const char *, const char *) = {names_path, names_file};
	struct script **link;
	int i;

	/* Of two with one file name, the one that crash would find. */
	for (i = 0; i < 2; i++)
		for (link = &scripts; *link; link = &(*link)->next)
			if (means[i](name, (*link)->path)) {
				if (!unloading_refused(name))
					unload(link);
				return true;
			}
	return false;
}

void scripts_unload_all(void)
{
	if (scripts && unloading_refused("scripts"))
		return;
	while (scripts)
		unload(&scripts);
}
