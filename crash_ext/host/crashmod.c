/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The module `crash`: crash's questions and answers for Python.
 *
 * The names, results and errors are those of PyKdump's module of this name, so one program
 * runs on both hosts. It differs where PyKdump's answer would end the program without an
 * exception: a user-space address without an address space is crash.error here.
 *
 * Nothing in here writes to the memory of a dump or of a live system.
 */
#include "pyextend.h"

#include <limits.h>
#include <string.h>

#define VERSION "1.0"
/* Handed over by a build that knows it; crash's header doesn't. */
#ifndef PYEXTEND_CRASH_RELEASE
#define PYEXTEND_CRASH_RELEASE ""
#endif
/* crash copies the names of types into buffers of BUFSIZE. */
#define NAME_SIZE 256

PyObject *crash_error;
/* The one that makes the module. */
static unsigned long main_thread;

PyObject *bad_parameter(void)
{
	PyErr_Clear();
	PyErr_SetString(crash_error, "invalid parameter type");
	return NULL;
}

bool take_arguments(PyObject *arguments, const char *format, ...)
{
	va_list targets;
	bool taken;

	/* crash leaves a command by longjmp to where its one thread has been: never to a stack
	 * of another. And no crash.error, which programs take for a word about memory. */
	if (PyThread_get_thread_ident() != main_thread) {
		PyErr_SetString(PyExc_RuntimeError, "crash answers the main thread only");
		return false;
	}
	va_start(targets, format);
	taken = PyArg_VaParse(arguments, format, targets);
	va_end(targets);
	return taken || bad_parameter();
}

/* An int from 0 to 2**64-1. False and crash.error otherwise. */
static bool to_number(PyObject *number, ulonglong *value)
{
	if (!PyLong_Check(number))
		return bad_parameter();
	*value = PyLong_AsUnsignedLongLong(number);
	if (*value == (ulonglong)-1 && PyErr_Occurred())
		return bad_parameter();
	return true;
}

/* A name out of the dump, which may be anything. */
static PyObject *to_text(const char *name)
{
	return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "backslashreplace");
}

/* --- Symbols ------------------------------------------------------------------------- */

static PyObject *crash_symbol_exists(PyObject *self, PyObject *arguments)
{
	char *name;

	(void)self;
	if (!take_arguments(arguments, "s", &name))
		return NULL;
	return PyLong_FromLong(symbol_exists(name) != 0);
}

static PyObject *crash_sym2addr(PyObject *self, PyObject *arguments)
{
	struct syment *symbol;
	char *name;

	(void)self;
	if (!take_arguments(arguments, "s", &name))
		return NULL;
	symbol = symbol_search(name);
	return PyLong_FromUnsignedLong(symbol ? symbol->value : 0);
}

static PyObject *crash_sym2alladdr(PyObject *self, PyObject *arguments)
{
	struct syment *symbol;
	PyObject *list;
	char *name;

	(void)self;
	if (!take_arguments(arguments, "s", &name))
		return NULL;
	list = PyList_New(0);
	if (!list)
		return NULL;
	for (symbol = symbol_search(name); symbol; symbol = symbol_search_next(name, symbol)) {
		PyObject *address = PyLong_FromUnsignedLong(symbol->value);

		if (!address || PyList_Append(list, address)) {
			Py_XDECREF(address);
			Py_DECREF(list);
			return NULL;
		}
		Py_DECREF(address);
	}
	return list;
}

static PyObject *crash_addr2sym(PyObject *self, PyObject *arguments)
{
	PyObject *number;
	struct syment *symbol;
	ulonglong address;
	ulong offset = 0;
	int loose = 0;

	(void)self;
	if (!take_arguments(arguments, "O|p", &number, &loose))
		return NULL;
	if (!to_number(number, &address))
		return NULL;
	symbol = value_search((ulong)address, &offset);
	if (loose)
		return symbol ? Py_BuildValue("Nk", to_text(symbol->name), offset)
			      : Py_BuildValue("OO", Py_None, Py_None);
	if (!symbol || offset)
		Py_RETURN_NONE;
	return to_text(symbol->name);
}

struct module_question {
	ulong address;
	struct load_module *module;
	int found;
};

static void ask_module(void *arg)
{
	struct module_question *question = arg;

	question->found = module_symbol(question->address, NULL, &question->module, NULL, 0);
}

static PyObject *crash_addr2mod(PyObject *self, PyObject *arguments)
{
	struct module_question question = {0};
	ulonglong address;
	PyObject *number;

	(void)self;
	if (!take_arguments(arguments, "O", &number))
		return NULL;
	if (!to_number(number, &address))
		return NULL;
	question.address = (ulong)address;
	if (!guarded(ask_module, &question) || !question.found || !question.module)
		Py_RETURN_NONE;
	return to_text(question.module->mod_name);
}

/* --- Memory -------------------------------------------------------------------------- */

struct reading {
	ulonglong address;
	int type;
	void *buffer;
	long size;
	bool done;
};

static void do_read(void *arg)
{
	struct reading *reading = arg;

	reading->done = readmem(reading->address, reading->type, reading->buffer, reading->size,
				"pyextend", RETURN_ON_ERROR | QUIET);
}

/* False and crash.error where not all of it can be read. */
static bool read_memory(struct reading *reading)
{
	char message[128];
	ulonglong last;

	if (reading->type != KVADDR && reading->type != UVADDR && reading->type != PHYSADDR)
		return bad_parameter();
	if (reading->size > 0 &&
	    !__builtin_add_overflow(reading->address, (ulonglong)reading->size - 1, &last) &&
	    guarded(do_read, reading) && reading->done)
		return true;
	/* Not PyErr_Format(): it knows %llx since Python 3.12 only. */
	snprintf(message, sizeof(message), "cannot read %ld bytes at %s address %llx",
		 reading->size, reading->type == KVADDR ? "kernel" :
		 reading->type == UVADDR ? "user" : "physical", reading->address);
	PyErr_SetString(crash_error, message);
	return false;
}

static PyObject *crash_readmem(PyObject *self, PyObject *arguments)
{
	struct reading reading = {.type = KVADDR};
	PyObject *number, *bytes;

	(void)self;
	if (!take_arguments(arguments, "Ol|i", &number, &reading.size, &reading.type))
		return NULL;
	if (!to_number(number, &reading.address))
		return NULL;
	if (!reading.address) {
		PyErr_SetString(PyExc_IndexError, "read at address 0");
		return NULL;
	}
	bytes = PyBytes_FromStringAndSize(NULL, reading.size > 0 ? reading.size : 0);
	if (!bytes)
		return NULL;
	reading.buffer = PyBytes_AS_STRING(bytes);
	if (!read_memory(&reading)) {
		Py_DECREF(bytes);
		return NULL;
	}
	return bytes;
}

static PyObject *crash_readPtr(PyObject *self, PyObject *arguments)
{
	ulong pointer;
	struct reading reading = {.type = KVADDR, .buffer = &pointer, .size = sizeof(pointer)};
	PyObject *number;

	(void)self;
	if (!take_arguments(arguments, "O|i", &number, &reading.type))
		return NULL;
	if (!to_number(number, &reading.address))
		return NULL;
	if (!reading.address) {
		PyErr_SetString(PyExc_IndexError, "read at address 0");
		return NULL;
	}
	return read_memory(&reading) ? PyLong_FromUnsignedLong(pointer) : NULL;
}

static PyObject *crash_readInt(PyObject *self, PyObject *arguments)
{
	union {
		uint8_t u1;
		uint16_t u2;
		uint32_t u4;
		uint64_t u8;
		int8_t s1;
		int16_t s2;
		int32_t s4;
		int64_t s8;
	} value;
	struct reading reading = {.type = KVADDR, .buffer = &value};
	PyObject *number;
	int has_sign = 0;

	(void)self;
	if (!take_arguments(arguments, "Ol|p", &number, &reading.size, &has_sign))
		return NULL;
	if (!to_number(number, &reading.address))
		return NULL;
	if (reading.size != 1 && reading.size != 2 && reading.size != 4 && reading.size != 8) {
		PyErr_Format(crash_error, "no integer has %ld bytes", reading.size);
		return NULL;
	}
	if (!reading.address) {
		PyErr_SetString(crash_error, "read at address 0");
		return NULL;
	}
	if (!read_memory(&reading))
		return NULL;
	switch (reading.size) {
	case 1:
		return PyLong_FromLong(has_sign ? value.s1 : value.u1);
	case 2:
		return PyLong_FromLong(has_sign ? value.s2 : value.u2);
	case 4:
		return PyLong_FromLongLong(has_sign ? value.s4 : (long long)value.u4);
	default:
		return has_sign ? PyLong_FromLongLong(value.s8)
				: PyLong_FromUnsignedLongLong(value.u8);
	}
}

struct page_question {
	physaddr_t address;
	ulong page;
	int found;
};

static void ask_page(void *arg)
{
	struct page_question *question = arg;

	question->found = phys_to_page(question->address, &question->page);
}

static PyObject *crash_phys_to_page(PyObject *self, PyObject *arguments)
{
	struct page_question question = {0};
	char message[128];
	ulonglong address;
	PyObject *number;

	(void)self;
	if (!take_arguments(arguments, "O", &number))
		return NULL;
	if (!to_number(number, &address))
		return NULL;
	question.address = address;
	if (!guarded(ask_page, &question)) {
		snprintf(message, sizeof(message), "cannot find the page of physical address %llx",
			 address);
		PyErr_SetString(crash_error, message);
		return NULL;
	}
	if (!question.found)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLong(question.page);
}

/* --- Types --------------------------------------------------------------------------- */

struct type_question {
	char type[NAME_SIZE];
	char member[NAME_SIZE];
	struct datatype_member *request;
	long answer;
};

/* gdb reads a name as an expression. Only what can be a name, or words, goes there. */
static bool to_name(char *to, const char *from, const char *allowed)
{
	size_t length = strlen(from);

	if (!length || length >= NAME_SIZE || strspn(from, allowed) != length)
		return false;
	memcpy(to, from, length + 1);
	return true;
}

#define NAME_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static bool to_type_name(char *to, const char *from)
{
	static const char *const kinds[] = {"struct ", "union ", NULL};
	int i;

	for (i = 0; kinds[i]; i++)
		if (!strncmp(from, kinds[i], strlen(kinds[i])))
			return to_name(to, from + strlen(kinds[i]), NAME_CHARACTERS);
	return to_name(to, from, NAME_CHARACTERS " ");
}

static void ask_type(void *arg)
{
	struct type_question *question = arg;

	question->answer = datatype_info(question->type,
					 question->member[0] ? question->member : NULL,
					 question->request);
}

/* What crash says, at least 0, or the number given for "there is none". */
static PyObject *type_answer(struct type_question *question, const char *type,
			     const char *member, long none)
{
	question->answer = -1;
	if (!to_type_name(question->type, type) ||
	    (member && !to_name(question->member, member, NAME_CHARACTERS)) ||
	    !guarded_gdb(ask_type, question) || question->answer < 0)
		question->answer = none;
	return PyErr_CheckSignals() ? NULL : PyLong_FromLong(question->answer);
}

static PyObject *crash_struct_size(PyObject *self, PyObject *arguments)
{
	struct type_question question = {.request = STRUCT_SIZE_REQUEST};
	const char *type;

	(void)self;
	if (!take_arguments(arguments, "s", &type))
		return NULL;
	return type_answer(&question, type, NULL, -1);
}

static PyObject *crash_member_offset(PyObject *self, PyObject *arguments)
{
	struct type_question question = {0};
	const char *type, *member;

	(void)self;
	if (!take_arguments(arguments, "ss", &type, &member))
		return NULL;
	return type_answer(&question, type, member, -1);
}

static PyObject *crash_member_size(PyObject *self, PyObject *arguments)
{
	struct type_question question = {.request = MEMBER_SIZE_REQUEST};
	const char *type, *member;

	(void)self;
	if (!take_arguments(arguments, "ss", &type, &member))
		return NULL;
	return type_answer(&question, type, member, 0);
}

struct enumerator_question {
	char name[NAME_SIZE];
	long value;
	int found;
};

static void ask_enumerator(void *arg)
{
	struct enumerator_question *question = arg;

	question->found = enumerator_value(question->name, &question->value);
}

static PyObject *crash_enumerator_value(PyObject *self, PyObject *arguments)
{
	struct enumerator_question question = {0};
	const char *name;

	(void)self;
	if (!take_arguments(arguments, "s", &name))
		return NULL;
	if (!to_name(question.name, name, NAME_CHARACTERS) ||
	    !guarded_gdb(ask_enumerator, &question))
		question.found = 0;
	if (PyErr_CheckSignals())
		return NULL;
	if (!question.found)
		Py_RETURN_NONE;
	return PyLong_FromLong(question.value);
}

/* --- The module ---------------------------------------------------------------------- */

static PyMethodDef functions[] = {
	{"symbol_exists", crash_symbol_exists, METH_VARARGS, "symbol_exists(name) -> 1 or 0"},
	{"sym2addr", crash_sym2addr, METH_VARARGS, "sym2addr(name) -> address, 0 if missing"},
	{"sym2alladdr", crash_sym2alladdr, METH_VARARGS,
	 "sym2alladdr(name) -> addresses of all symbols of that name"},
	{"addr2sym", crash_addr2sym, METH_VARARGS,
	 "addr2sym(address) -> name of the symbol exactly there, or None\n"
	 "addr2sym(address, True) -> (name, offset), or (None, None)"},
	{"addr2mod", crash_addr2mod, METH_VARARGS,
	 "addr2mod(address) -> name of the module that holds it, or None"},
	{"readmem", crash_readmem, METH_VARARGS,
	 "readmem(address, size[, KVADDR|UVADDR|PHYSADDR]) -> bytes\n"
	 "IndexError for address 0, else crash.error"},
	{"readPtr", crash_readPtr, METH_VARARGS, "readPtr(address[, type]) -> int"},
	{"readInt", crash_readInt, METH_VARARGS, "readInt(address, size[, signed]) -> int"},
	{"struct_size", crash_struct_size, METH_VARARGS,
	 "struct_size(name) -> bytes, -1 if missing"},
	{"member_offset", crash_member_offset, METH_VARARGS,
	 "member_offset(struct, member) -> bytes, -1 if missing"},
	{"member_size", crash_member_size, METH_VARARGS,
	 "member_size(struct, member) -> bytes, 0 if missing"},
	{"enumerator_value", crash_enumerator_value, METH_VARARGS,
	 "enumerator_value(name) -> int, or None"},
	{"phys_to_page", crash_phys_to_page, METH_VARARGS,
	 "phys_to_page(physical address) -> address of its struct page, or None"},
	{"exec_crash_command", exec_crash_command, METH_VARARGS,
	 "exec_crash_command(line) -> its output; crash.error if it fails or says nothing"},
	{"get_GDB_output", get_gdb_output, METH_VARARGS,
	 "get_GDB_output(line) -> its output, None if it fails"},
	{"register_epython_prog", script_register, METH_VARARGS,
	 "register_epython_prog(name, short, synopsis, help) -> bool"},
	{"get_epython_cmds", script_commands, METH_NOARGS,
	 "get_epython_cmds() -> names of the registered commands"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "crash",
	.m_doc = "The crash utility's questions and answers.",
	.m_size = -1,
	.m_methods = functions,
};

PyMODINIT_FUNC PyInit_crash(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (!module)
		return NULL;
	main_thread = PyThread_get_thread_ident();
	crash_error = PyErr_NewException("crash.error", NULL, NULL);
	Py_XINCREF(crash_error);
	if (!crash_error || PyModule_AddObject(module, "error", crash_error) ||
	    PyModule_AddIntConstant(module, "KVADDR", KVADDR) ||
	    PyModule_AddIntConstant(module, "UVADDR", UVADDR) ||
	    PyModule_AddIntConstant(module, "PHYSADDR", PHYSADDR) ||
	    PyModule_AddIntConstant(module, "PAGESIZE", (long)PAGESIZE()) ||
	    PyModule_AddIntConstant(module, "HZ", (long)machdep->hz) ||
	    PyModule_AddStringConstant(module, "version", VERSION) ||
	    PyModule_AddStringConstant(module, "Crash_run", build_version) ||
	    PyModule_AddStringConstant(module, "Crash_build", PYEXTEND_CRASH_RELEASE)) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
