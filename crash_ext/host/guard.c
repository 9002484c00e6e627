/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No longjmp crosses a Python frame.
 *
 * crash leaves a failed command by longjmp(pc->main_loop_env): error(FATAL), cmd_usage(),
 * restart() on Ctrl-C, a segmentation fault in gdb or a closed pager. Python's frames in
 * between would be lost with the interpreter's stack depth, references and locks. So
 * whatever may do that runs in here, in a function that touches no Python object, with
 * main_loop_env pointing here for as long as it runs.
 *
 * Which calls of crash are made on behalf of Python, and how each is guarded:
 *
 *   symbol_search, symbol_search_next, symbol_exists, value_search
 *           look into crash's own tables and return NULL. Not guarded.
 *   readmem(RETURN_ON_ERROR|QUIET)
 *           returns its own errors, but the page tables on the way are read with
 *           FAULT_ON_ERROR, and UVADDR without an address space is FATAL. guarded().
 *   phys_to_page, module_symbol
 *           read the memory section table and modules with FAULT_ON_ERROR. guarded().
 *   datatype_info, enumerator_value
 *           ask gdb. gdb_interface() changes SIGINT's handler, and restarts where the pager
 *           is gone. guarded_gdb(): SIGINT waits, and nobody sees a pager.
 *   exec_command, gdb_pass_through
 *           anything at all. guarded_command().
 *   error(INFO), get_command_table_entry, register_extension, help_init
 *           return. Called from scripts.c and pyextend.c, at times below a Python frame.
 *           (get_command_table_entry() is FATAL for the command `crash` alone, in gdb mode.)
 *   cmd_extend, exec_command("epython ...")
 *           called by pyextend.c from crash's command loop with no Python frame of ours
 *           beneath, or, through exec_crash_command(), in a guarded_command().
 */
#include "pyextend.h"

#include <signal.h>
#include <string.h>

/* crash takes any word but "default" and "redirect" for a file's name, whose messages go to
 * pc->error_fp alone. */
#define OWN_ERROR_PATH "pyextend"

struct jump_state {
	jmp_buf main_loop;
	jmp_buf foreach_loop;
	ulonglong flags;
	char *curcmd;
	FILE *output;
	char *error_path;
	FILE *error_output;
};

static struct sigaction python_sigint;
/* Python's own part of it, and how often it has come: a program may swallow the exception. */
static void (*python_handler)(int);
static volatile sig_atomic_t interrupts;
/* The innermost running program's. */
static const struct sigint_shift *shift_on_duty;

/* Flags that say where a command is, as against what the user has chosen. */
#define PLACE_FLAGS (IN_FOREACH | IN_GDB | IN_RESTART | _SIGINT_ | PLEASE_WAIT | RUNTIME_IFILE | \
		     INIT_IFILE | IFILE_ERROR | CMDLINE_IFILE | RCHOME_IFILE | RCLOCAL_IFILE)

static void jump_state_save(struct jump_state *state)
{
	memcpy(state->main_loop, pc->main_loop_env, sizeof(jmp_buf));
	memcpy(state->foreach_loop, pc->foreach_loop_env, sizeof(jmp_buf));
	state->flags = pc->flags;
	state->curcmd = pc->curcmd;
	state->output = fp;
	state->error_path = pc->error_path;
	state->error_output = pc->error_fp;
	/* error(FATAL) inside of `foreach` jumps elsewhere. */
	pc->flags &= ~(ulonglong)IN_FOREACH;
}

static void jump_state_restore(const struct jump_state *state)
{
	memcpy(pc->main_loop_env, state->main_loop, sizeof(jmp_buf));
	memcpy(pc->foreach_loop_env, state->foreach_loop, sizeof(jmp_buf));
	pc->flags = (pc->flags & ~PLACE_FLAGS) | (state->flags & PLACE_FLAGS);
	pc->curcmd = state->curcmd;
	fp = state->output;
}

/* A command that was left by longjmp leaves things open that crash's prompt would close. */
static void tidy(void)
{
	if (pc->tmpfile)
		close_tmpfile();
	if (pc->tmpfile2)
		close_tmpfile2();
	/* `list -Z < file`: the outer command's is kept elsewhere. */
	if (pc->args_ifile)
		fclose(pc->args_ifile);
	if (pc->cmd_cleanup)
		pc->cmd_cleanup(pc->cmd_cleanup_arg);
	restore_gdb_sanity();
	hq_close();
}

/* With `on_duty`, that is SIGINT's handler while the work runs; it may jump here for as long,
 * so it goes before this frame does. */
static bool run_to_the_wall(void (*work)(void *), void *arg, const struct sigaction *on_duty)
{
	struct sigaction before;

	if (on_duty)
		sigaction(SIGINT, NULL, &before);
	if (setjmp(pc->main_loop_env)) {
		if (on_duty)
			sigaction(SIGINT, &before, NULL);
		return false;
	}
	if (on_duty)
		sigaction(SIGINT, on_duty, NULL);
	work(arg);
	if (on_duty)
		sigaction(SIGINT, &before, NULL);
	return true;
}

/* Commands leave their buffers (GETBUF) to crash's prompt, which frees them all before each.
 * Nothing that is running further up reads one of its own again: `foreach` runs no program,
 * `repeat` has its line on the stack, and a program's words are copied before it starts. */
static void free_buffers(void *none)
{
	(void)none;
	free_all_bufs();
}

bool guarded(void (*work)(void *), void *arg)
{
	static char own_path[] = OWN_ERROR_PATH;
	struct jump_state state;
	bool returned;

	jump_state_save(&state);
	/* The reason is worth an exception, not a line on the terminal. */
	pc->error_path = own_path;
	pc->error_fp = pc->nullfp;
	returned = run_to_the_wall(work, arg, NULL);
	if (!returned) {
		restore_gdb_sanity();
		run_to_the_wall(free_buffers, NULL, NULL);
	}
	pc->error_path = state.error_path;
	pc->error_fp = state.error_output;
	jump_state_restore(&state);
	return returned;
}

static void mask_sigint(int how, sigset_t *before)
{
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	pthread_sigmask(how, &interrupt, before);
}

void sigint_hold(sigset_t *before)
{
	mask_sigint(SIG_BLOCK, before);
}

void sigint_release(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

void sigint_forget(void)
{
	static const struct timespec at_once;
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigtimedwait(&interrupt, NULL, &at_once);
}

bool guarded_gdb(void (*work)(void *), void *arg)
{
	struct sigaction handler, faults;
	sigset_t before;
	ulong redirect = pc->redirect;
	bool returned;

	sigint_hold(&before);
	sigaction(SIGINT, NULL, &handler);
	sigaction(SIGSEGV, NULL, &faults);
	pc->redirect = REDIRECT_NOT_DONE;
	returned = guarded(work, arg);
	pc->redirect = redirect;
	sigaction(SIGSEGV, &faults, NULL);
	sigaction(SIGINT, &handler, NULL);
	sigint_release(&before);
	return returned;
}

/* crash's view of the command that is running. Another one may run inside of it. */
struct command_state {
	char line[BUFSIZE], original[BUFSIZE], pipe_command[BUFSIZE];
	char *words[MAXARGS];
	int word_count, errors, index, option_messages, eoc_index;
	char *last;
	ulong curcmd_flags, redirect, ifile_in_progress;
	ulonglong curcmd_private;
	FILE *stdpipe, *pipe, *ofile, *ifile, *ifile_pipe, *ifile_ofile, *args_ifile;
	FILE *tmpfile, *tmpfile2, *saved_output, *kept_tmpfile;
	pid_t stdpipe_pid, pipe_pid, pipe_shell_pid;
	off_t ifile_offset;
	void (*cleanup)(void *);
	void *cleanup_arg;
};

static void command_state_save(struct command_state *state)
{
	memcpy(state->line, pc->command_line, BUFSIZE);
	memcpy(state->original, pc->orig_line, BUFSIZE);
	memcpy(state->pipe_command, pc->pipe_command, BUFSIZE);
	memcpy(state->words, args, sizeof(state->words));
	state->word_count = argcnt;
	state->errors = argerrs;
	state->index = optind;
	state->option_messages = opterr;
	state->eoc_index = pc->eoc_index;
	state->last = pc->lastcmd;
	state->curcmd_flags = pc->curcmd_flags;
	state->curcmd_private = pc->curcmd_private;
	state->redirect = pc->redirect;
	state->ifile_in_progress = pc->ifile_in_progress;
	state->ifile_offset = pc->ifile_offset;
	state->stdpipe = pc->stdpipe;
	state->pipe = pc->pipe;
	state->ofile = pc->ofile;
	state->ifile = pc->ifile;
	state->ifile_pipe = pc->ifile_pipe;
	state->ifile_ofile = pc->ifile_ofile;
	state->args_ifile = pc->args_ifile;
	state->tmpfile = pc->tmpfile;
	state->tmpfile2 = pc->tmpfile2;
	state->saved_output = pc->saved_fp;
	state->kept_tmpfile = pc->tmp_fp;
	state->stdpipe_pid = pc->stdpipe_pid;
	state->pipe_pid = pc->pipe_pid;
	state->pipe_shell_pid = pc->pipe_shell_pid;
	state->cleanup = pc->cmd_cleanup;
	state->cleanup_arg = pc->cmd_cleanup_arg;
}

/* restart(), which Ctrl-C runs, closes every stream it knows of: the outer command's, too. */
static void command_state_hide(void)
{
	pc->stdpipe = pc->pipe = pc->ofile = pc->ifile = pc->ifile_pipe = pc->ifile_ofile = NULL;
	pc->args_ifile = pc->tmpfile = pc->tmpfile2 = NULL;
	pc->stdpipe_pid = pc->pipe_pid = pc->pipe_shell_pid = 0;
	pc->redirect = FROM_INPUT_FILE | REDIRECT_NOT_DONE;
	pc->eoc_index = 0;
	pc->curcmd_flags = 0;
	pc->curcmd_private = 0;
	pc->pipe_command[0] = '\0';
	/* getopt() writes to the terminal past everything. The usage message follows anyway. */
	opterr = 0;
}

static void command_state_restore(const struct command_state *state)
{
	memcpy(pc->command_line, state->line, BUFSIZE);
	memcpy(pc->orig_line, state->original, BUFSIZE);
	memcpy(pc->pipe_command, state->pipe_command, BUFSIZE);
	memcpy(args, state->words, sizeof(state->words));
	argcnt = state->word_count;
	argerrs = state->errors;
	optind = state->index;
	opterr = state->option_messages;
	pc->eoc_index = state->eoc_index;
	pc->lastcmd = state->last;
	pc->curcmd_flags = state->curcmd_flags;
	pc->curcmd_private = state->curcmd_private;
	pc->redirect = state->redirect;
	pc->ifile_in_progress = state->ifile_in_progress;
	pc->ifile_offset = state->ifile_offset;
	pc->stdpipe = state->stdpipe;
	pc->pipe = state->pipe;
	pc->ofile = state->ofile;
	pc->ifile = state->ifile;
	pc->ifile_pipe = state->ifile_pipe;
	pc->ifile_ofile = state->ifile_ofile;
	pc->args_ifile = state->args_ifile;
	pc->tmpfile = state->tmpfile;
	pc->tmpfile2 = state->tmpfile2;
	pc->saved_fp = state->saved_output;
	pc->tmp_fp = state->kept_tmpfile;
	pc->stdpipe_pid = state->stdpipe_pid;
	pc->pipe_pid = state->pipe_pid;
	pc->pipe_shell_pid = state->pipe_shell_pid;
	pc->cmd_cleanup = state->cleanup;
	pc->cmd_cleanup_arg = state->cleanup_arg;
}

/* restart() clears its own traces of Ctrl-C, but not before it has called this. */
static void notice_interrupt(void *interrupted)
{
	if (pc->flags & _SIGINT_)
		*(bool *)interrupted = true;
}

/* Inside of gdb, gdb's own handler is on duty, and crash makes a failed command of it. */
static volatile sig_atomic_t gdb_interrupts;
static void (*gdb_handler)(int);

static void on_gdb_interrupt(int signal)
{
	gdb_interrupts++;
	gdb_handler(signal);
}

bool guarded_command(void (*work)(void *), void *arg, FILE *output, bool *interrupted)
{
	struct jump_state jump;
	struct command_state *command = malloc(sizeof(*command));
	char *own_path = strdup(OWN_ERROR_PATH);
	struct sigaction faults;
	void (*handler)(int) = pc->gdb_sigaction.sa_handler;
	sig_atomic_t gdb_interrupts_before = gdb_interrupts;
	bool returned, scroll = pc->flags & SCROLL;

	*interrupted = false;
	if (!command || !own_path) {
		free(command);
		free(own_path);
		return false;
	}
	command_state_save(command);
	jump_state_save(&jump);
	command_state_hide();
	pc->cmd_cleanup = notice_interrupt;
	pc->cmd_cleanup_arg = interrupted;
	/* Usage messages look for a pager by themselves. */
	pc->flags &= ~(ulonglong)SCROLL;
	/* On the heap, since `set error` frees it. */
	pc->error_path = own_path;
	pc->error_fp = fp = output;
	if (handler != on_gdb_interrupt && handler != SIG_DFL && handler != SIG_IGN) {
		gdb_handler = handler;
		pc->gdb_sigaction.sa_handler = on_gdb_interrupt;
	}
	sigaction(SIGSEGV, NULL, &faults);

	returned = run_to_the_wall(work, arg, shift_on_duty ? &shift_on_duty->crash : NULL);
	if (!returned)
		tidy();
	run_to_the_wall(free_buffers, NULL, NULL);

	sigaction(SIGSEGV, &faults, NULL);
	pc->gdb_sigaction.sa_handler = handler;
	notice_interrupt(interrupted);
	if (gdb_interrupts != gdb_interrupts_before)
		*interrupted = true;
	if (*interrupted)
		interrupts++;
	pc->sigint_cnt = 0;
	if (scroll)
		pc->flags |= SCROLL;
	if (pc->error_path == own_path) {
		pc->error_path = jump.error_path;
		pc->error_fp = jump.error_output;
		free(own_path);
	} else {
		free(jump.error_path);
	}
	command_state_restore(command);
	jump_state_restore(&jump);
	free(command);
	return returned;
}

static void on_interrupt(int signal)
{
	interrupts++;
	python_handler(signal);
}

int sigint_count(void)
{
	return interrupts;
}

/* signal.signal, signal.getsignal, signal.default_int_handler, SIGINT */
static PyObject *set_handler, *get_handler, *default_handler, *signal_number;

/* Makes that Python's handler, and its C part SIGINT's. */
static bool sigint_call(PyObject *handler)
{
	PyObject *before = PyObject_CallFunctionObjArgs(set_handler, signal_number, handler, NULL);

	Py_XDECREF(before);
	return before;
}

PyObject *sigint_take(void)
{
	PyObject *outer = PyObject_CallFunctionObjArgs(get_handler, signal_number, NULL);

	if (outer)
		sigint_call(default_handler);
	sigaction(SIGINT, &python_sigint, NULL);
	return outer;
}

void sigint_give_back(PyObject *outer)
{
	int tries = 3;

	/* signal() refuses while a Ctrl-C waits for Python; it comes too late to stop anything. */
	while (outer && tries-- && !sigint_call(outer))
		PyErr_Clear();
	Py_XDECREF(outer);
}

bool sigint_learn(void)
{
	PyObject *signals = PyImport_ImportModule("signal");
	struct sigaction before;
	bool learnt;

	if (!signals)
		return false;
	set_handler = PyObject_GetAttrString(signals, "signal");
	get_handler = PyObject_GetAttrString(signals, "getsignal");
	default_handler = PyObject_GetAttrString(signals, "default_int_handler");
	signal_number = PyLong_FromLong(SIGINT);
	Py_DECREF(signals);
	if (!set_handler || !get_handler || !default_handler || !signal_number)
		return false;
	sigaction(SIGINT, NULL, &before);
	learnt = sigint_call(default_handler);
	sigaction(SIGINT, &before, &python_sigint);
	python_handler = python_sigint.sa_handler;
	python_sigint.sa_handler = on_interrupt;
	return learnt;
}

/* _thread's function, which is self, called with SIGINT held: so is it in the new thread. */
static PyObject *start_thread(PyObject *self, PyObject *arguments, PyObject *keywords)
{
	PyObject *result;
	sigset_t before;

	sigint_hold(&before);
	result = PyObject_Call(self, arguments, keywords);
	sigint_release(&before);
	return result;
}

static PyMethodDef start_method = {
	"start_thread", (PyCFunction)(void (*)(void))start_thread, METH_VARARGS | METH_KEYWORDS, NULL,
};

/* Not every Python has every function. */
static bool wrap_start(PyObject *module, const char *name)
{
	PyObject *original = PyObject_GetAttrString(module, name), *wrapped;
	bool done;

	if (!original) {
		PyErr_Clear();
		return true;
	}
	wrapped = PyCFunction_New(&start_method, original);
	done = wrapped && !PyObject_SetAttrString(module, name, wrapped);
	Py_XDECREF(wrapped);
	Py_DECREF(original);
	return done;
}

bool sigint_spare_threads(void)
{
	/* threading has what _thread had when it was imported. */
	PyObject *loaded = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
	PyObject *module = PyImport_ImportModule("_thread");
	bool done = module && wrap_start(module, "start_new_thread") &&
		    wrap_start(module, "start_new") &&
		    wrap_start(module, "start_joinable_thread") &&
		    (!loaded || (wrap_start(loaded, "_start_new_thread") &&
				 wrap_start(loaded, "_start_joinable_thread")));

	Py_XDECREF(module);
	return done;
}

void sigint_to_python(struct sigint_shift *shift)
{
	sigaction(SIGINT, &python_sigint, &shift->crash);
	shift->outer = shift_on_duty;
	shift_on_duty = shift;
	mask_sigint(SIG_UNBLOCK, &shift->mask);
}

void sigint_to_crash(const struct sigint_shift *shift)
{
	sigint_release(&shift->mask);
	/* crash's handler leaves this frame at once. */
	shift_on_duty = shift->outer;
	sigaction(SIGINT, &shift->crash, NULL);
}
