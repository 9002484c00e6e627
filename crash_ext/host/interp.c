/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The interpreter: started once, at the first script, and running until crash ends.
 *
 * It is never finalised: crash exits from anywhere, at times from below a Python frame. And
 * Python cannot be finalised and started again in one process without leaks and stale state
 * in its extension modules.
 *
 * Modules stay imported from one program to the next. That is how caches persist. Everything
 * else is each program's own: globals, sys.argv, sys.path, the standard streams.
 */
#include "pyextend.h"

#include <errno.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>

/* A command may run itself, and nothing in Python 3.12 and later bounds the stack of C: 8 MB
 * were enough for 800 of them. */
#define DEEPEST 20
static int depth;
/* File name -> (device, inode, size, seconds, nanoseconds, code). */
static PyObject *compiled;
static PyObject *stdin_stream, *stdout_stream, *stderr_stream;
/* sys.path as the interpreter made it. */
static PyObject *first_path;

int program_depth(void)
{
	return depth;
}

/* --- Start --------------------------------------------------------------------------- */

/* Independent of the user's Python settings, home directory and locale. */
static PyStatus initialize(void)
{
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status))
		return status;
	PyConfig_InitIsolatedConfig(&config);
#ifdef PYEXTEND_PYTHON
	/* Its environment's site-packages are ours, if it is still there; else Python's own. */
	if (!access(PYEXTEND_PYTHON, X_OK)) {
		status = PyConfig_SetBytesString(&config, &config.program_name, PYEXTEND_PYTHON);
		if (!PyStatus_Exception(status))
			status = PyConfig_SetBytesString(&config, &config.executable,
							 PYEXTEND_PYTHON);
	}
#endif
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return status;
}

/* Never the terminal: that is crash's. */
static PyObject *empty_stream(void)
{
	PyObject *io = PyImport_ImportModule("io");
	PyObject *stream = io ? PyObject_CallMethod(io, "StringIO", NULL) : NULL;

	Py_XDECREF(io);
	return stream;
}

static bool set_streams(void)
{
	return !PySys_SetObject("stdin", stdin_stream) &&
	       !PySys_SetObject("stdout", stdout_stream) &&
	       !PySys_SetObject("stderr", stderr_stream);
}

static bool prepare(void)
{
	PyObject *path = PySys_GetObject("path");

	first_path = path ? PySequence_List(path) : NULL;
	compiled = PyDict_New();
	stdin_stream = empty_stream();
	stdout_stream = console_new("<stdout>");
	stderr_stream = console_new("<stderr>");
	return first_path && compiled && stdin_stream && stdout_stream && stderr_stream && set_streams() &&
	       !PySys_SetObject("__stdin__", stdin_stream) &&
	       !PySys_SetObject("__stdout__", stdout_stream) &&
	       !PySys_SetObject("__stderr__", stderr_stream) && sigint_learn() &&
	       sigint_spare_threads();
}

static void describe_exception(PyObject *exception, char *message);
static PyObject *take_exception(void);

bool interpreter_start(char *message)
{
	static bool running, failed;
	PyStatus status;

	if (running)
		return true;
	if (failed || Py_IsInitialized()) {
		strcpy(message, failed ? "Python cannot start (see above)"
				       : "another extension has a Python running in this crash");
		return false;
	}
	failed = true;
	if (PyImport_AppendInittab("crash", PyInit_crash) ||
	    PyImport_AppendInittab("_slableak", PyInit__slableak)) {
		strcpy(message, "Python cannot start: out of memory");
		return false;
	}
	status = initialize();
	if (PyStatus_Exception(status)) {
		snprintf(message, MESSAGE_SIZE, "Python cannot start: %s",
			 status.err_msg ? status.err_msg : "no reason given");
		return false;
	}
	if (!prepare()) {
		PyObject *exception = take_exception();

		describe_exception(exception, message);
		Py_XDECREF(exception);
		return false;
	}
	failed = false;
	running = true;
	return true;
}

/* --- Exceptions ---------------------------------------------------------------------- */

static PyObject *take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
	return PyErr_GetRaisedException();
#else
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	if (value && traceback)
		PyException_SetTraceback(value, traceback);
	Py_XDECREF(type);
	Py_XDECREF(traceback);
	return value;
#endif
}

/* One line: its text, or its type where it has none. */
static void describe_exception(PyObject *exception, char *message)
{
	PyObject *text = exception ? PyObject_Str(exception) : NULL;
	PyObject *bytes = NULL;
	const char *line = NULL;
	size_t i;

	if (text)
		bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
	PyErr_Clear();
	if (bytes)
		line = PyBytes_AS_STRING(bytes);
	if (!line || !*line)
		line = exception ? Py_TYPE(exception)->tp_name : "unknown error";
	snprintf(message, MESSAGE_SIZE, "%s", line);
	for (i = strlen(message); i && message[i - 1] == '\n'; i--)
		message[i - 1] = '\0';
	for (i = 0; message[i]; i++)
		if ((unsigned char)message[i] < ' ')
			message[i] = ' ';
	Py_XDECREF(bytes);
	Py_XDECREF(text);
}

static void show_traceback(PyObject *exception)
{
	const char *wish = getenv("PYEXTEND_DEBUG");
	PyObject *module, *traceback, *result = NULL;

	if (!wish || strcmp(wish, "1"))
		return;
	module = PyImport_ImportModule("traceback");
	traceback = PyException_GetTraceback(exception);
	if (module)
		result = PyObject_CallMethod(module, "print_exception", "OOO",
					     (PyObject *)Py_TYPE(exception), exception,
					     traceback ? traceback : Py_None);
	/* A second exception while one is being shown helps nobody. */
	PyErr_Clear();
	Py_XDECREF(result);
	Py_XDECREF(traceback);
	Py_XDECREF(module);
}

/* The exception that is set, as a result of the program. It is cleared. */
static enum outcome judge(char *message)
{
	enum outcome outcome = PROGRAM_FAILED;
	PyObject *exception;

	if (!PyErr_Occurred())
		return PROGRAM_DONE;
	if (PyErr_ExceptionMatches(PyExc_SystemExit))
		outcome = PROGRAM_EXITED;
	else if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
		outcome = PROGRAM_INTERRUPTED;
	else if (PyErr_ExceptionMatches(PyExc_BrokenPipeError))
		outcome = PROGRAM_PIPE_CLOSED;
	exception = take_exception();
	if (outcome == PROGRAM_FAILED) {
		describe_exception(exception, message);
		show_traceback(exception);
	} else if (outcome == PROGRAM_INTERRUPTED) {
		show_traceback(exception);
	}
	Py_XDECREF(exception);
	return outcome;
}

/* --- One program --------------------------------------------------------------------- */

static PyObject *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	PyObject *bytes = NULL;
	struct stat status;
	size_t got;

	if (!file)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (fstat(fileno(file), &status))
		PyErr_SetFromErrno(PyExc_OSError);
	else
		bytes = PyBytes_FromStringAndSize(NULL, status.st_size);
	if (bytes) {
		got = fread(PyBytes_AS_STRING(bytes), 1, (size_t)status.st_size, file);
		if (ferror(file)) {
			PyErr_SetFromErrno(PyExc_OSError);
			Py_CLEAR(bytes);
		} else if (_PyBytes_Resize(&bytes, (Py_ssize_t)got)) {
			bytes = NULL;
		}
	}
	fclose(file);
	return bytes;
}

static PyObject *compile_file(const char *path, PyObject *name)
{
	PyObject *builtins, *source, *code = NULL;

	source = read_file(path);
	if (!source)
		return NULL;
	builtins = PyImport_ImportModule("builtins");
	/* compile() itself honours the source's encoding line. */
	if (builtins)
		code = PyObject_CallMethod(builtins, "compile", "OOsii", source, name, "exec",
					   0, 1);
	Py_XDECREF(builtins);
	Py_DECREF(source);
	return code;
}

/* The code of a module in a zip archive, by the path that it would have in a directory. Python
 * keeps what it knows of the archive, so this is asked every time. */
static PyObject *zipped_code(PyObject *name)
{
	PyObject *zipimport = PyImport_ImportModule("zipimport");
	Py_ssize_t length = PyUnicode_GetLength(name);
	Py_ssize_t slash = PyUnicode_FindChar(name, '/', 0, length, -1);
	PyObject *directory = PyUnicode_Substring(name, 0, slash);
	PyObject *stem = PyUnicode_Substring(name, slash + 1, length - (Py_ssize_t)strlen(".py"));
	PyObject *importer = NULL, *code = NULL;

	if (zipimport && directory && stem)
		importer = PyObject_CallMethod(zipimport, "zipimporter", "O", directory);
	if (importer)
		code = PyObject_CallMethod(importer, "get_code", "O", stem);
	Py_XDECREF(importer);
	Py_XDECREF(stem);
	Py_XDECREF(directory);
	Py_XDECREF(zipimport);
	return code;
}

/* The file's code, compiled again when the file is another one. */
static PyObject *code_of(const char *path, PyObject *name)
{
	PyObject *version, *known, *code, *entry;
	struct stat status;
	int same;

	if (stat(path, &status)) {
		/* What the path takes for a directory is a file: an archive. */
		if (errno == ENOTDIR)
			return zipped_code(name);
		return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
	}
	version = Py_BuildValue("KKLLL", (unsigned long long)status.st_dev,
				(unsigned long long)status.st_ino, (long long)status.st_size,
				(long long)status.st_mtim.tv_sec,
				(long long)status.st_mtim.tv_nsec);
	if (!version)
		return NULL;
	known = PyDict_GetItemWithError(compiled, name);
	if (known) {
		same = PyObject_RichCompareBool(PyTuple_GET_ITEM(known, 0), version, Py_EQ);
		if (same) {
			code = same > 0 ? PyTuple_GET_ITEM(known, 1) : NULL;
			Py_XINCREF(code);
			Py_DECREF(version);
			return code;
		}
	}
	code = PyErr_Occurred() ? NULL : compile_file(path, name);
	entry = code ? PyTuple_Pack(2, version, code) : NULL;
	if (!entry || PyDict_SetItem(compiled, name, entry))
		Py_CLEAR(code);
	Py_XDECREF(entry);
	Py_DECREF(version);
	return code;
}

static PyObject *new_main(PyObject *name)
{
	PyObject *module = PyModule_New("__main__");
	PyObject *globals, *builtins;

	if (!module)
		return NULL;
	globals = PyModule_GetDict(module);
	builtins = PyImport_ImportModule("builtins");
	if (!builtins || PyDict_SetItemString(globals, "__builtins__", builtins) ||
	    PyDict_SetItemString(globals, "__file__", name))
		Py_CLEAR(module);
	Py_XDECREF(builtins);
	return module;
}

static PyObject *argument_list(PyObject *name, int argc, char **argv)
{
	PyObject *list = PyList_New(0);
	int i;

	if (!list || PyList_Append(list, name))
		goto fail;
	for (i = 1; i < argc; i++) {
		PyObject *word = PyUnicode_DecodeFSDefault(argv[i]);
		int failed = !word || PyList_Append(list, word);

		Py_XDECREF(word);
		if (failed)
			goto fail;
	}
	return list;
fail:
	Py_XDECREF(list);
	return NULL;
}

/* The script's own directory in front. */
static PyObject *program_path(PyObject *name)
{
	PyObject *path = PySequence_List(first_path);
	PyObject *directory = NULL;
	Py_ssize_t length;

	if (!path)
		return NULL;
	length = PyUnicode_FindChar(name, '/', 0, PyUnicode_GetLength(name), -1);
	if (length >= 0)
		directory = PyUnicode_Substring(name, 0, length ? length : 1);
	if (!directory || PyList_Insert(path, 0, directory))
		Py_CLEAR(path);
	Py_XDECREF(directory);
	return path;
}

/* What a program may change and the next one, or the outer one, finds as it was. */
struct place {
	PyObject *main, *argv, *path, *in, *out, *err, *sigint;
};

static PyObject *sys_get(const char *name)
{
	PyObject *object = PySys_GetObject(name);

	Py_XINCREF(object);
	return object;
}

static void place_save(struct place *place)
{
	place->main = PyDict_GetItemString(PyImport_GetModuleDict(), "__main__");
	Py_XINCREF(place->main);
	place->argv = sys_get("argv");
	place->path = sys_get("path");
	place->in = sys_get("stdin");
	place->out = sys_get("stdout");
	place->err = sys_get("stderr");
	place->sigint = sigint_take();
}

static void sys_restore(const char *name, PyObject *object)
{
	if (PySys_SetObject(name, object))
		PyErr_Clear();
	Py_XDECREF(object);
}

static void place_restore(struct place *place)
{
	PyObject *modules = PyImport_GetModuleDict();

	if (place->main ? PyDict_SetItemString(modules, "__main__", place->main)
			: PyDict_DelItemString(modules, "__main__"))
		PyErr_Clear();
	Py_XDECREF(place->main);
	sys_restore("argv", place->argv);
	sys_restore("path", place->path);
	sys_restore("stdin", place->in);
	sys_restore("stdout", place->out);
	sys_restore("stderr", place->err);
	sigint_give_back(place->sigint);
}

static void execute(const char *path, int argc, char **argv)
{
	PyObject *name = PyUnicode_DecodeFSDefault(path);
	PyObject *code = name ? code_of(path, name) : NULL;
	PyObject *main = code ? new_main(name) : NULL;
	PyObject *words = main ? argument_list(name, argc, argv) : NULL;
	PyObject *search = words ? program_path(name) : NULL;
	PyObject *result = NULL, *globals;

	if (search && !PySys_SetObject("argv", words) && !PySys_SetObject("path", search) &&
	    set_streams() && !PyDict_SetItemString(PyImport_GetModuleDict(), "__main__", main)) {
		globals = PyModule_GetDict(main);
		result = PyEval_EvalCode(code, globals, globals);
	}
	Py_XDECREF(result);
	Py_XDECREF(search);
	Py_XDECREF(words);
	Py_XDECREF(main);
	Py_XDECREF(code);
	Py_XDECREF(name);
}

enum outcome program_run(const char *path, int argc, char **argv, char *message)
{
	struct sigint_shift shift;
	enum outcome outcome, end;
	char end_message[MESSAGE_SIZE];
	struct place place;

	if (depth == DEEPEST) {
		snprintf(message, MESSAGE_SIZE, "%d programs run inside each other: not one more",
			 DEEPEST);
		return PROGRAM_FAILED;
	}
	/* What crash itself could not write is no failure of this program. */
	if (fflush(fp)) {
		__fpurge(fp);
		clearerr(fp);
	}
	/* A Ctrl-C that came when the last program was over. */
	if (!depth && PyErr_CheckSignals())
		PyErr_Clear();
	sigint_to_python(&shift);
	depth++;
	place_save(&place);
	if (!PyErr_Occurred())
		execute(path, argc, argv);
	outcome = judge(message);
	place_restore(&place);
	/* What crash will say begins a line. */
	if ((outcome == PROGRAM_FAILED || outcome == PROGRAM_INTERRUPTED) && !console_end_line())
		PyErr_Clear();
	/* A disk that is full shows at last here. What went wrong first is reported first. */
	if (!console_flush()) {
		end = judge(end_message);
		if (outcome == PROGRAM_DONE || outcome == PROGRAM_EXITED) {
			outcome = end;
			strcpy(message, end_message);
		}
	}
	console_drop();
	/* A Ctrl-C that came too late to stop anything. */
	if (PyErr_CheckSignals())
		PyErr_Clear();
	depth--;
	sigint_to_crash(&shift);
	return outcome;
}

/* --- Forgetting ---------------------------------------------------------------------- */

/* Installed packages stay, even those below the directory (a virtual environment in it): not
 * all of them can be imported twice. */
static bool lies_under(const char *file, const char *directory, const char *library)
{
	size_t length = strlen(directory);

	if (strncmp(file, directory, length) || file[length] != '/')
		return false;
	if (strstr(file + length, "/site-packages/") || strstr(file + length, "/dist-packages/"))
		return false;
	length = strlen(library);
	return !length || strncmp(file, library, length) || file[length] != '/';
}

/* The directory of the standard library, without its end slash. */
static void standard_library(char *directory, size_t size)
{
	PyObject *os = PyImport_ImportModule("os");
	PyObject *file = os ? PyObject_GetAttrString(os, "__file__") : NULL;
	const char *text = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
	char *slash;

	snprintf(directory, size, "%s", text ? text : "");
	slash = strrchr(directory, '/');
	if (slash)
		*slash = '\0';
	PyErr_Clear();
	Py_XDECREF(file);
	Py_XDECREF(os);
}

static bool comes_from(PyObject *module, const char *directory, const char *library)
{
	PyObject *file = PyObject_GetAttrString(module, "__file__");
	const char *text = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
	bool found = text && lies_under(text, directory, library);

	PyErr_Clear();
	Py_XDECREF(file);
	return found;
}

void program_forget(const char *directory)
{
	PyObject *modules = PyImport_GetModuleDict();
	PyObject *names = PyDict_Keys(modules);
	PyObject *importlib, *result = NULL;
	char library[PATH_MAX];
	Py_ssize_t i;

	standard_library(library, sizeof(library));
	for (i = 0; names && i < PyList_GET_SIZE(names); i++) {
		PyObject *name = PyList_GET_ITEM(names, i);
		PyObject *module = PyDict_GetItemWithError(modules, name);

		if (module && comes_from(module, directory, library) &&
		    PyDict_DelItem(modules, name))
			PyErr_Clear();
	}
	Py_XDECREF(names);
	/* Directories are remembered with what was in them. */
	importlib = PyImport_ImportModule("importlib");
	if (importlib)
		result = PyObject_CallMethod(importlib, "invalidate_caches", NULL);
	Py_XDECREF(result);
	Py_XDECREF(importlib);
	PyErr_Clear();
}
