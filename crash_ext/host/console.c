/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sys.stdout and sys.stderr: text streams on crash's current output.
 *
 * crash swaps its stream `fp` for each command: the terminal, a pager, a pipe, a file, the
 * text that exec_crash_command() collects. So it is looked up at each call. Pipes and files
 * are unbuffered there (setup_redirect() in cmdline.c), so what has no line end yet waits
 * here: print() costs one system call a line, a big write() one in all.
 *
 * Always UTF-8, whatever the locale: what is shown comes from a dump, and is the same for
 * everybody.
 */
#include "pyextend.h"

#include <errno.h>
#include <string.h>

#define WAITING_SIZE 8192

/* One for both streams: they go to one place, in the order of the calls. */
static char waiting[WAITING_SIZE];
static size_t waiting_used;
static bool inside_line;

static bool put(const char *text, size_t length)
{
	while (length) {
		size_t written;
		int reason;

		errno = 0;
		written = fwrite(text, 1, length, fp);
		text += written;
		length -= written;
		if (!length)
			break;
		reason = errno;
		clearerr(fp);
		if (reason == EINTR) {
			if (PyErr_CheckSignals())
				return false;
			continue;
		}
		/* OSError, as BrokenPipeError for a pipe that nobody reads any more. */
		errno = reason ? reason : EIO;
		PyErr_SetFromErrno(PyExc_OSError);
		return false;
	}
	return true;
}

static bool put_waiting(void)
{
	size_t length = waiting_used;
	char now[WAITING_SIZE];

	/* put() runs Python's signal handlers, and one that prints fills the buffer again. */
	memcpy(now, waiting, length);
	/* First: what failed once isn't tried again. */
	waiting_used = 0;
	return put(now, length);
}

static bool emit(const char *text, size_t length)
{
	const char *line_end = memrchr(text, '\n', length);
	size_t lines = line_end ? (size_t)(line_end - text) + 1 : 0;

	if (length)
		inside_line = text[length - 1] != '\n';
	if (length - lines > WAITING_SIZE)
		lines = length;
	if (lines) {
		if (waiting_used + lines <= WAITING_SIZE) {
			if (waiting_used) {
				memcpy(waiting + waiting_used, text, lines);
				waiting_used += lines;
				if (!put_waiting())
					return false;
			} else if (!put(text, lines)) {
				return false;
			}
		} else if (!put_waiting() || !put(text, lines)) {
			return false;
		}
		text += lines;
		length -= lines;
	}
	/* Once, but for signal handlers that print. */
	while (waiting_used + length > WAITING_SIZE)
		if (!put_waiting())
			return false;
	memcpy(waiting + waiting_used, text, length);
	waiting_used += length;
	return true;
}

bool console_flush(void)
{
	if (!put_waiting())
		return false;
	while (fflush(fp)) {
		int reason = errno;

		clearerr(fp);
		if (reason == EINTR) {
			if (PyErr_CheckSignals())
				return false;
			continue;
		}
		errno = reason;
		PyErr_SetFromErrno(PyExc_OSError);
		return false;
	}
	return true;
}

bool console_end_line(void)
{
	return !inside_line || emit("\n", 1);
}

void console_drop(void)
{
	waiting_used = 0;
	inside_line = false;
}

struct console {
	PyObject_HEAD
	PyObject *name;
};

static void console_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(((struct console *)self)->name);
	PyObject_Free(self);
	Py_DECREF(type);
}

static PyObject *console_write(PyObject *self, PyObject *text)
{
	PyObject *bytes = NULL;
	const char *data;
	Py_ssize_t length;
	bool written;

	(void)self;
	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.200s",
			     Py_TYPE(text)->tp_name);
		return NULL;
	}
	data = PyUnicode_AsUTF8AndSize(text, &length);
	if (!data) {
		/* A lone surrogate. */
		PyErr_Clear();
		bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
		if (!bytes)
			return NULL;
		data = PyBytes_AS_STRING(bytes);
		length = PyBytes_GET_SIZE(bytes);
	}
	written = emit(data, (size_t)length);
	Py_XDECREF(bytes);
	return written ? PyLong_FromSsize_t(PyUnicode_GetLength(text)) : NULL;
}

static PyObject *console_writelines(PyObject *self, PyObject *lines)
{
	PyObject *iterator = PyObject_GetIter(lines);
	PyObject *line, *result;

	if (!iterator)
		return NULL;
	while ((line = PyIter_Next(iterator))) {
		result = console_write(self, line);
		Py_DECREF(line);
		if (!result)
			break;
		Py_DECREF(result);
	}
	Py_DECREF(iterator);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *console_flush_method(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	if (!console_flush())
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *console_isatty(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	return PyBool_FromLong(fp == stdout && isatty(fileno(stdout)));
}

/* As any stream of Python's without a file: io.UnsupportedOperation, which is an OSError. */
static PyObject *no_file(void)
{
	PyObject *io = PyImport_ImportModule("io");
	PyObject *kind = io ? PyObject_GetAttrString(io, "UnsupportedOperation") : NULL;

	if (kind)
		PyErr_SetString(kind, "fileno");
	Py_XDECREF(kind);
	Py_XDECREF(io);
	return NULL;
}

static PyObject *console_fileno(PyObject *self, PyObject *none)
{
	int descriptor = fileno(fp);

	(void)self;
	(void)none;
	return descriptor < 0 ? no_file() : PyLong_FromLong(descriptor);
}

static PyObject *console_yes(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	Py_RETURN_TRUE;
}

static PyObject *console_no(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	Py_RETURN_FALSE;
}

static PyObject *console_word(PyObject *self, void *word)
{
	(void)self;
	return PyUnicode_FromString(word);
}

static PyObject *console_name(PyObject *self, void *nothing)
{
	PyObject *name = ((struct console *)self)->name;

	(void)nothing;
	/* A stream that a program made from our type has none. */
	if (!name)
		name = Py_None;
	Py_INCREF(name);
	return name;
}

static PyObject *console_closed(PyObject *self, void *nothing)
{
	(void)nothing;
	return console_no(self, NULL);
}

static PyMethodDef console_methods[] = {
	{"write", console_write, METH_O, "write(str) -> number of characters"},
	{"writelines", console_writelines, METH_O, "write each of the strings"},
	{"flush", console_flush_method, METH_NOARGS, "write out what waits for its line's end"},
	{"isatty", console_isatty, METH_NOARGS,
	 "True where the output is a terminal and neither redirected nor paged"},
	{"fileno", console_fileno, METH_NOARGS, "file descriptor of crash's current output"},
	{"writable", console_yes, METH_NOARGS, NULL},
	{"readable", console_no, METH_NOARGS, NULL},
	{"seekable", console_no, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef console_attributes[] = {
	{"encoding", console_word, NULL, NULL, "utf-8"},
	{"errors", console_word, NULL, NULL, "backslashreplace"},
	{"mode", console_word, NULL, NULL, "w"},
	{"name", console_name, NULL, NULL, NULL},
	{"closed", console_closed, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot console_slots[] = {
	{Py_tp_dealloc, console_dealloc},
	{Py_tp_methods, console_methods},
	{Py_tp_getset, console_attributes},
	{Py_tp_doc, "Text stream on crash's current output."},
	{0, NULL},
};

static PyType_Spec console_spec = {
	.name = "pyextend.Console",
	.basicsize = sizeof(struct console),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = console_slots,
};

PyObject *console_new(const char *name)
{
	PyObject *type = PyType_FromSpec(&console_spec);
	struct console *console;

	if (!type)
		return NULL;
	console = PyObject_New(struct console, (PyTypeObject *)type);
	/* The object holds its type since Python 3.8. */
	Py_DECREF(type);
	if (!console)
		return NULL;
	console->name = PyUnicode_FromString(name);
	return (PyObject *)console;
}
