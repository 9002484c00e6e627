/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the loader know of each other.
 *
 *   pyextend.c  the `extend` command taught about *.py, and the loader's own coming and going
 *   scripts.c   scripts: finding, loading, listing, unloading; their commands
 *   interp.c    the interpreter: starting it, running one program in it
 *   console.c   sys.stdout and sys.stderr on crash's current output
 *   crashmod.c  the module `crash`
 *   execcmd.c   crash and gdb commands run for a Python program, their output as text
 *   guard.c     the wall between crash's longjmp and Python's frames
 *
 * Everything runs on crash's one thread, which holds Python's lock from the interpreter's
 * start to crash's end.
 */
#ifndef PYEXTEND_H
#define PYEXTEND_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "crashdefs.h"

/* Compiled with PYEXTEND_BUNDLE, make bundle's slableak.so: the same loader, with the commands
 * in a zip archive behind its ELF file. It loads them as it arrives. */
#ifdef PYEXTEND_BUNDLE
#define PYEXTEND_NAME "slableak.so"
#else
#define PYEXTEND_NAME "pyextend.so"
#endif

/* --- guard.c ------------------------------------------------------------------------- */

/* Runs work(arg), none of which may touch Python. False: crash longjmped out of it. */
bool guarded(void (*work)(void *), void *arg);

/* The same for what may end up in gdb, which changes the handler of SIGINT. */
bool guarded_gdb(void (*work)(void *), void *arg);

/* The same for whole commands: crash's own SIGINT handler is on duty, output goes to the
 * stream. *interrupted says whether Ctrl-C came. */
bool guarded_command(void (*work)(void *), void *arg, FILE *output, bool *interrupted);

struct sigint_shift {
	struct sigaction crash;
	sigset_t mask;
	const struct sigint_shift *outer;
};
/* Python's SIGINT handler goes on duty, held or not; what was before it is kept and given back. */
void sigint_to_python(struct sigint_shift *shift);
void sigint_to_crash(const struct sigint_shift *shift);
/* Makes Python's handler known; called once, when the interpreter has started. */
bool sigint_learn(void);
/* Threads that Python starts get no SIGINT: the kernel gives them what the main thread has
 * blocked, and crash's handler would jump to the main thread's stack. Called once. */
bool sigint_spare_threads(void);
/* What signal.signal() has set for SIGINT; KeyboardInterrupt from now on. May leave an exception:
 * a Ctrl-C that has come already. Then given back to who had it. */
PyObject *sigint_take(void);
void sigint_give_back(PyObject *outer);
/* Ctrl-C waits: crash's handler must not jump out of what would be left half done. */
void sigint_hold(sigset_t *before);
void sigint_release(const sigset_t *before);
/* One that waits is dropped. */
void sigint_forget(void);
/* How often Ctrl-C has come while a program ran, whatever the program made of it. */
int sigint_count(void);

/* --- console.c ----------------------------------------------------------------------- */

/* A new stream object, NULL and an exception on error. */
PyObject *console_new(const char *name);
/* Writes out what waits for the end of its line. False and an exception on error. */
bool console_flush(void);
/* Ends a line that was begun. As above. */
bool console_end_line(void);
/* Forgets it all. */
void console_drop(void);

/* --- interp.c ------------------------------------------------------------------------ */

enum outcome {
	PROGRAM_DONE,
	PROGRAM_EXITED,         /* SystemExit, whatever its argument */
	PROGRAM_PIPE_CLOSED,    /* nobody reads any more: nothing to say */
	PROGRAM_INTERRUPTED,    /* Ctrl-C */
	PROGRAM_FAILED,         /* the message says why */
};
#define MESSAGE_SIZE 1024

/* Starts the interpreter unless it runs. False: message says why it can't. */
bool interpreter_start(char *message);
/* Runs the file as __main__ with argv[0] replaced by its path. The file may be in a zip archive:
 * /x/slableak.so/crash_ext/slabdup.py. */
enum outcome program_run(const char *path, int argc, char **argv, char *message);
/* How many programs are running, one inside the other. */
int program_depth(void);
/* Forgets modules and code that came from files under the directory. */
void program_forget(const char *directory);

/* --- scripts.c ----------------------------------------------------------------------- */

/* Where scripts lie besides where crash looks: the loader's directory. */
void scripts_init(const char *loader_path);
void script_load(const char *name);
#ifdef PYEXTEND_BUNDLE
/* Loads the script that the loader carries. */
void script_load_own(void);
#endif
/* Unloads the script that the name means. False: it means none. */
bool script_unload(const char *name);
void scripts_unload_all(void);
/* An entry in crash's list of extensions, with its message. False: crash refused it. The caller
 * holds SIGINT. */
bool extension_add(const char *filename, struct command_table_entry *table, const char *what);
/* Does the name lead to this file, by itself or where crash looks? */
bool names_path(const char *name, const char *path);
/* The same, or is it the file's name without its directory? */
bool names_file(const char *name, const char *path);

PyObject *script_register(PyObject *self, PyObject *arguments);
PyObject *script_commands(PyObject *self, PyObject *none);

/* --- crashmod.c, execcmd.c ----------------------------------------------------------- */

extern PyObject *crash_error;
PyMODINIT_FUNC PyInit_crash(void);
/* native.c: the module `_slableak`, which the commands can do without. */
PyMODINIT_FUNC PyInit__slableak(void);
/* Sets crash.error('invalid parameter type') in the place of any exception. NULL. */
PyObject *bad_parameter(void);
/* PyArg_ParseTuple() for a function of the module. False: crash.error as above, or RuntimeError
 * where another thread than crash's asks. */
bool take_arguments(PyObject *arguments, const char *format, ...);
PyObject *exec_crash_command(PyObject *self, PyObject *arguments);
PyObject *get_gdb_output(PyObject *self, PyObject *arguments);

#endif
