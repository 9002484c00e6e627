/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * crash and gdb commands run for a Python program, their output as text.
 *
 * No pipes, no redirection, no input files and no aliases: those belong to crash's prompt.
 */
#include "pyextend.h"

#include <stdlib.h>
#include <string.h>

struct collected {
	FILE *stream;
	char *text;
	size_t size;
};

static bool collect_start(struct collected *collected)
{
	/* What was printed so far belongs to the stream from before. */
	if (!console_flush())
		return false;
	collected->text = NULL;
	collected->size = 0;
	collected->stream = open_memstream(&collected->text, &collected->size);
	if (!collected->stream)
		PyErr_SetFromErrno(PyExc_OSError);
	return collected->stream;
}

/* NULL with an exception set, where Ctrl-C ended what printed it, too. */
static PyObject *collect_end(struct collected *collected, bool interrupted)
{
	PyObject *text;

	fclose(collected->stream);
	if (!collected->text)
		return PyErr_NoMemory();
	text = PyUnicode_DecodeUTF8(collected->text, (Py_ssize_t)collected->size,
				    "backslashreplace");
	free(collected->text);
	if (text && interrupted) {
		Py_DECREF(text);
		PyErr_SetNone(PyExc_KeyboardInterrupt);
		return NULL;
	}
	return text;
}

static void run_line(void *arg)
{
	const char *line = arg;

	strcpy(pc->command_line, line);
	clean_line(pc->command_line);
	strcpy(pc->orig_line, pc->command_line);
	argcnt = parse_line(pc->command_line, args);
	if (argcnt)
		exec_command();
}

PyObject *exec_crash_command(PyObject *self, PyObject *arguments)
{
	struct collected collected;
	bool returned, interrupted;
	PyObject *text;
	const char *line;
	int no_stdout = 0;

	(void)self;
	/* PyKdump's second argument: there, errors are shown on the terminal, too. Never here. */
	if (!take_arguments(arguments, "s|p", &line, &no_stdout))
		return NULL;
	if (strlen(line) >= BUFSIZE) {
		PyErr_Format(crash_error, "crash takes %d characters a line", BUFSIZE - 1);
		return NULL;
	}
	if (line[strspn(line, " \t")] == '<') {
		PyErr_SetString(crash_error, "input files are for crash's prompt");
		return NULL;
	}
	if (!collect_start(&collected))
		return NULL;
	returned = guarded_command(run_line, (void *)line, collected.stream, &interrupted);
	text = collect_end(&collected, interrupted);
	if (!text)
		return NULL;
	if (!returned || !PyUnicode_GetLength(text)) {
		PyErr_SetObject(crash_error, text);
		Py_DECREF(text);
		return NULL;
	}
	return text;
}

struct gdb_line {
	char text[BUFSIZE];
	FILE *output;
	int answered;
};

static void run_gdb_line(void *arg)
{
	struct gdb_line *line = arg;

	line->answered = gdb_pass_through(line->text, line->output, GNU_RETURN_ON_ERROR);
}

PyObject *get_gdb_output(PyObject *self, PyObject *arguments)
{
	struct collected collected;
	struct gdb_line request = {.answered = 0};
	bool returned, interrupted;
	PyObject *text;
	const char *line;

	(void)self;
	if (!take_arguments(arguments, "s", &line))
		return NULL;
	if (strlen(line) >= BUFSIZE) {
		PyErr_Format(crash_error, "crash takes %d characters a line", BUFSIZE - 1);
		return NULL;
	}
	strcpy(request.text, line);
	if (!collect_start(&collected))
		return NULL;
	request.output = collected.stream;
	returned = guarded_command(run_gdb_line, &request, collected.stream, &interrupted);
	text = collect_end(&collected, interrupted);
	if (!text)
		return NULL;
	if (!returned || !request.answered) {
		Py_DECREF(text);
		Py_RETURN_NONE;
	}
	return text;
}
