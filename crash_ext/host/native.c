/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The module `_slableak`: the commands' innermost loops once more, in C.
 *
 * Bytes go in, states, addresses and texts come out. Each function does what a piece of
 * crash_ext does in Python, with the same result, or returns None where that shall decide;
 * the commands run without this module. It knows neither crash nor the loader, so that any
 * Python can load it: the tests do, and hold both against each other.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What the commands expect of the functions below; host/native.py refuses another. */
#define VERSION 3

/* slub/model.py */
enum { FREE = 0, ALLOCATED = 1 };

static const char digits[] = "0123456789abcdef";

/* Two digits for each byte; filled when the module is made. */
static char digit_pairs[256][2];

static void fill_digit_pairs(void)
{
	int value;

	for (value = 0; value < 256; value++) {
		digit_pairs[value][0] = digits[value >> 4];
		digit_pairs[value][1] = digits[value & 15];
	}
}

static uint64_t swapped(uint64_t value)
{
	return __builtin_bswap64(value);
}

/* Number `index` of a buffer of 64-bit ones, which may lie anywhere. */
static uint64_t number_at(const void *buffer, size_t index)
{
	uint64_t number;

	memcpy(&number, (const char *)buffer + index * sizeof(number), sizeof(number));
	return number;
}

static void set_number(void *buffer, size_t index, uint64_t number)
{
	memcpy((char *)buffer + index * sizeof(number), &number, sizeof(number));
}

static char *put_hex(char *to, uint64_t value, int count)
{
	int at;

	for (at = count; at > 1; value >>= 8) {
		at -= 2;
		memcpy(to + at, digit_pairs[value & 255], 2);
	}
	if (at)
		*to = digits[value & 15];
	return to + count;
}

static int hex_length(uint64_t value)
{
	return value ? (67 - __builtin_clzll(value)) / 4 : 1;
}

/* --- Freelists ----------------------------------------------------------------------- */

enum form { PLAIN, ADDRESS, SWAPPED };

/* states(size, objects, shift, link, form, random, memory, base, head, expected):
 * FREE or ALLOCATED of each object, None where the list isn't whole or not that long. */
static PyObject *states(PyObject *self, PyObject *arguments)
{
	unsigned long long base, entry, expected, size, objects, shift, link, key;
	PyObject *result = NULL;
	Py_buffer memory;
	uint64_t hidden;
	char *state;
	int form;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "KKKKiKy*KKK", &size, &objects, &shift, &link, &form,
			      &key, &memory, &base, &entry, &expected))
		return NULL;
	/* One bound for all that is computed below: no product or sum of these overflows. */
	if (!size || objects > (unsigned long long)memory.len || size > UINT32_MAX ||
	    objects > UINT32_MAX || shift > UINT32_MAX || link > UINT32_MAX ||
	    (objects && shift + (objects - 1) * size + link + sizeof(hidden) >
		       (unsigned long long)memory.len))
		goto undecided;
	result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)objects);
	if (!result)
		goto out;
	state = PyBytes_AS_STRING(result);
	memset(state, ALLOCATED, objects);
	for (; expected; expected--) {
		uint64_t offset = entry - base - shift;
		uint32_t index;

		/* No slab is longer; a division of 64 bits takes several times as long. */
		if (offset > UINT32_MAX)
			goto undecided;
		index = (uint32_t)offset / (uint32_t)size;
		if ((uint32_t)offset % (uint32_t)size || index >= objects || state[index] == FREE)
			goto undecided;
		state[index] = FREE;
		offset += shift + link;
		memcpy(&hidden, (char *)memory.buf + offset, sizeof(hidden));
		entry = hidden;
		if (form != PLAIN)
			entry ^= key ^ (form == SWAPPED ? swapped(base + offset) : base + offset);
	}
	if (!entry)
		goto out;
undecided:
	Py_XDECREF(result);
	result = Py_None;
	Py_INCREF(result);
out:
	PyBuffer_Release(&memory);
	return result;
}

/* --- Texts --------------------------------------------------------------------------- */

/* lines(size, firsts, states): 16 digits a line, of each object that is ALLOCATED. Lists: of
 * each slab the address of its first object, and the bytes of its objects' states. */
static PyObject *lines(PyObject *self, PyObject *arguments)
{
	PyObject *firsts, *states, *text = NULL;
	Py_ssize_t slab, slabs, i, count = 0;
	unsigned long long size;
	char *to;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "KO!O!", &size, &PyList_Type, &firsts, &PyList_Type,
			      &states))
		return NULL;
	slabs = PyList_GET_SIZE(states);
	if (slabs != PyList_GET_SIZE(firsts)) {
		PyErr_SetString(PyExc_ValueError, "lines(): two lengths");
		return NULL;
	}
	for (slab = 0; slab < slabs; slab++) {
		PyObject *one = PyList_GET_ITEM(states, slab);

		/* Nothing else: __index__() might change the lists under our hands. */
		if (!PyBytes_Check(one) || !PyLong_Check(PyList_GET_ITEM(firsts, slab))) {
			PyErr_SetString(PyExc_TypeError, "lines(): ints and bytes");
			return NULL;
		}
		for (i = 0; i < PyBytes_GET_SIZE(one); i++)
			count += PyBytes_AS_STRING(one)[i] == ALLOCATED;
	}
	text = PyUnicode_New(count * 17, 127);
	if (!text)
		return NULL;
	to = (char *)PyUnicode_1BYTE_DATA(text);
	for (slab = 0; slab < slabs; slab++) {
		PyObject *one = PyList_GET_ITEM(states, slab);
		uint64_t address = PyLong_AsUnsignedLongLongMask(PyList_GET_ITEM(firsts, slab));
		uint32_t upper = (uint32_t)(address >> 32);
		char digits_above[8];

		put_hex(digits_above, upper, 8);
		for (i = 0; i < PyBytes_GET_SIZE(one); i++, address += size) {
			if (PyBytes_AS_STRING(one)[i] != ALLOCATED)
				continue;
			if (upper != (uint32_t)(address >> 32)) {
				upper = (uint32_t)(address >> 32);
				put_hex(digits_above, upper, 8);
			}
			memcpy(to, digits_above, 8);
			to = put_hex(to + 8, (uint32_t)address, 8);
			*to++ = '\n';
		}
	}
	if (PyErr_Occurred())
		Py_CLEAR(text);
	return text;
}

#define LINE 16

/* One line as `rd` shows it: address, words, text. The same for all but its last is padded. */
static char *put_line(char *to, uint64_t address, const unsigned char *data, Py_ssize_t count,
		      int word, bool little)
{
	int width = 2 * LINE + LINE / word - 1;
	char *end;
	Py_ssize_t at;
	int i;

	to = put_hex(to, address, 2 * word);
	memcpy(to, ":  ", 3);
	to += 3;
	end = to + width;
	for (at = 0; at < count; at += word) {
		int bytes = count - at < word ? (int)(count - at) : word;

		if (at)
			*to++ = ' ';
		for (i = 0; i < bytes; i++)
			to = put_hex(to, data[at + (little ? bytes - 1 - i : i)], 2);
	}
	memset(to, ' ', (size_t)(end - to));
	to = end;
	memset(to, ' ', 3);
	to += 3;
	for (at = 0; at < count; at++)
		*to++ = data[at] >= 0x20 && data[at] < 0x7f ? (char)data[at] : '.';
	return to;
}

static bool is_ascii(const char *text, Py_ssize_t length)
{
	while (length && (unsigned char)text[length - 1] < 128)
		length--;
	return !length;
}

/* contents(memory, first, shift, size, length, chosen, before, after, word, little): of each
 * object whose byte isn't 0 a line with its address between two texts, then `length` bytes of
 * it as `rd` shows them. None where an object isn't whole in the memory, or a text not ASCII. */
static PyObject *contents(PyObject *self, PyObject *arguments)
{
	unsigned long long first, shift, size, length, at;
	const char *before, *after;
	Py_ssize_t before_size, after_size, i, each, all = 0, last;
	int word, little;
	Py_buffer memory, chosen;
	PyObject *text = NULL;
	char *to;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*KKKKy*s#s#ii", &memory, &first, &shift, &size, &length,
			      &chosen, &before, &before_size, &after, &after_size, &word, &little))
		return NULL;
	last = chosen.len;
	while (last && !((char *)chosen.buf)[last - 1])
		last--;
	if (!is_ascii(before, before_size) || !is_ascii(after, after_size) ||
	    (word != 8 && word != 4) || shift > UINT32_MAX || size > UINT32_MAX ||
	    last > UINT32_MAX || length > (unsigned long long)memory.len ||
	    (last && shift + ((unsigned long long)last - 1) * size + length >
		    (unsigned long long)memory.len)) {
		text = Py_None;
		Py_INCREF(text);
		goto out;
	}
	each = before_size + after_size + 1;
	for (at = 0; at < length; at += LINE)
		each += 2 * word + 3 + 2 * LINE + LINE / word - 1 + 3 +
			(Py_ssize_t)(length - at < LINE ? length - at : LINE) + 1;
	for (i = 0; i < last; i++)
		if (((char *)chosen.buf)[i])
			all += each + hex_length(first + (uint64_t)i * size);
	text = PyUnicode_New(all, 127);
	if (!text)
		goto out;
	to = (char *)PyUnicode_1BYTE_DATA(text);
	for (i = 0; i < last; i++) {
		uint64_t address = first + (uint64_t)i * size;
		const unsigned char *data =
			(unsigned char *)memory.buf + shift + (uint64_t)i * size;

		if (!((char *)chosen.buf)[i])
			continue;
		memcpy(to, before, (size_t)before_size);
		to = put_hex(to + before_size, address, hex_length(address));
		memcpy(to, after, (size_t)after_size);
		to += after_size;
		*to++ = '\n';
		for (at = 0; at < length; at += LINE) {
			to = put_line(to, address + at, data + at,
				      (Py_ssize_t)(length - at < LINE ? length - at : LINE), word,
				      little);
			*to++ = '\n';
		}
	}
out:
	PyBuffer_Release(&memory);
	PyBuffer_Release(&chosen);
	return text;
}

/* --- Words --------------------------------------------------------------------------- */

/* What was found, as it grows: pairs of numbers. */
struct pairs {
	uint64_t *pair;
	size_t count, room;
};

static bool add_pair(struct pairs *pairs, uint64_t one, uint64_t other)
{
	uint64_t *larger;

	if (pairs->count == pairs->room) {
		pairs->room = pairs->room ? 2 * pairs->room : 512;
		larger = PyMem_Realloc(pairs->pair, pairs->room * 2 * sizeof(*pairs->pair));
		if (!larger) {
			PyErr_NoMemory();
			return false;
		}
		pairs->pair = larger;
	}
	pairs->pair[2 * pairs->count] = one;
	pairs->pair[2 * pairs->count + 1] = other;
	pairs->count++;
	return true;
}

static PyObject *pairs_bytes(struct pairs *pairs)
{
	PyObject *bytes = NULL;

	if (!PyErr_Occurred())
		bytes = PyBytes_FromStringAndSize((char *)pairs->pair,
						  (Py_ssize_t)(pairs->count * 2 *
							       sizeof(*pairs->pair)));
	PyMem_Free(pairs->pair);
	return bytes;
}

static uint64_t load(const unsigned char *from, int size, bool foreign)
{
	uint64_t eight;
	uint32_t four;

	if (size == 8) {
		memcpy(&eight, from, sizeof(eight));
		return foreign ? __builtin_bswap64(eight) : eight;
	}
	memcpy(&four, from, sizeof(four));
	return foreign ? __builtin_bswap32(four) : four;
}

/* The last of the starts that isn't above the value; there is one. */
static size_t range_of(const void *starts, size_t count, uint64_t value)
{
	size_t low = 0, high = count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (number_at(starts, middle) <= value)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* pointers(data, word, foreign, starts, ends, blocks, shift): (offset of a word in the data,
 * number of the range [start, end) that it points into), packed as 64-bit numbers. blocks: 1
 * for each 1 << shift bytes from the first start on that a range has a part of. */
static PyObject *pointers(PyObject *self, PyObject *arguments)
{
	struct pairs found = {0};
	Py_buffer data, from, to, blocks;
	PyObject *result = NULL;
	int word, foreign, shift;
	uint64_t first;
	Py_ssize_t at;
	size_t count;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*iiy*y*y*i", &data, &word, &foreign, &from, &to,
			      &blocks, &shift))
		return NULL;
	count = (size_t)from.len / sizeof(uint64_t);
	if ((word != 8 && word != 4) || shift < 0 || shift > 63 || !count ||
	    (size_t)from.len % sizeof(uint64_t) || from.len != to.len) {
		PyErr_SetString(PyExc_ValueError, "pointers()");
		goto out;
	}
	first = number_at(from.buf, 0);
	for (at = 0; at + word <= data.len; at += word) {
		uint64_t value = load((unsigned char *)data.buf + at, word, foreign);
		uint64_t block = (value - first) >> shift;
		size_t index;

		if (block >= (uint64_t)blocks.len || !((char *)blocks.buf)[block] || value < first)
			continue;
		index = range_of(from.buf, count, value);
		if (value < number_at(to.buf, index) && !add_pair(&found, (uint64_t)at, index))
			break;
	}
	result = pairs_bytes(&found);
out:
	PyBuffer_Release(&data);
	PyBuffer_Release(&from);
	PyBuffer_Release(&to);
	PyBuffer_Release(&blocks);
	return result;
}

/* --- Marks --------------------------------------------------------------------------- */

enum { REACHED = 2 };

/* Pairs of objects' numbers, as they grow. */
struct edges {
	uint32_t *end;
	size_t count, room;
};

static bool add_edge(struct edges *edges, size_t from, size_t to)
{
	uint32_t *larger;

	if (edges->count == edges->room) {
		edges->room = edges->room ? 2 * edges->room : 512;
		larger = PyMem_Realloc(edges->end, edges->room * 2 * sizeof(*edges->end));
		if (!larger) {
			PyErr_NoMemory();
			return false;
		}
		edges->end = larger;
	}
	edges->end[2 * edges->count] = (uint32_t)from;
	edges->end[2 * edges->count + 1] = (uint32_t)to;
	edges->count++;
	return true;
}

/* Sorted ranges, and the blocks of 1 << shift bytes from the first start on that have some. */
struct ranges {
	const void *starts, *ends;
	const char *blocks;
	size_t count;
	uint64_t first, block_count;
	int shift;
};

/* Number of the range that a value lies in; count: none. */
static size_t find_range(const struct ranges *ranges, uint64_t value)
{
	uint64_t block = (value - ranges->first) >> ranges->shift;
	size_t index;

	if (value < ranges->first || block >= ranges->block_count || !ranges->blocks[block])
		return ranges->count;
	index = range_of(ranges->starts, ranges->count, value);
	return value < number_at(ranges->ends, index) ? index : ranges->count;
}

/* mark(data, address, word, foreign, starts, ends, blocks, shift, level, levels, parents): see
 * reach/mark.py. With a level the data are a root; with 0 they are objects' memory, and what
 * comes back are the edges (32-bit pairs) from objects that aren't reached. */
static PyObject *mark(PyObject *self, PyObject *arguments)
{
	struct edges edges = {0};
	struct ranges ranges;
	Py_buffer data, from, to, blocks, levels, parents;
	PyObject *result = NULL;
	unsigned long long address;
	int word, foreign, shift, level;
	unsigned char *reached;
	Py_ssize_t at;
	size_t owner = 0;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*Kiiy*y*y*iiw*w*", &data, &address, &word, &foreign,
			      &from, &to, &blocks, &shift, &level, &levels, &parents))
		return NULL;
	ranges.starts = from.buf;
	ranges.ends = to.buf;
	ranges.blocks = blocks.buf;
	ranges.count = (size_t)from.len / sizeof(uint64_t);
	ranges.block_count = (uint64_t)blocks.len;
	ranges.shift = shift;
	reached = levels.buf;
	if ((word != 8 && word != 4) || shift < 0 || shift > 63 || !ranges.count ||
	    (size_t)from.len % sizeof(uint64_t) || ranges.count > UINT32_MAX ||
	    from.len != to.len || parents.len != from.len ||
	    (size_t)levels.len != ranges.count || level < 0 || level > REACHED) {
		PyErr_SetString(PyExc_ValueError, "mark()");
		goto out;
	}
	ranges.first = number_at(ranges.starts, 0);
	for (at = 0; at + word <= data.len; at += word) {
		uint64_t value = load((unsigned char *)data.buf + at, word, foreign);
		uint64_t holder = address + (uint64_t)at;
		size_t target = find_range(&ranges, value);

		if (target == ranges.count || reached[target] == REACHED)
			continue;
		if (level) {
			if (reached[target] < level) {
				reached[target] = (unsigned char)level;
				set_number(parents.buf, target, holder);
			}
			continue;
		}
		if (holder < number_at(ranges.starts, owner) ||
		    holder >= number_at(ranges.ends, owner)) {
			size_t found = find_range(&ranges, holder);

			if (found == ranges.count)
				continue;
			owner = found;
		}
		if (owner == target)
			continue;
		if (reached[owner] == REACHED) {
			reached[target] = REACHED;
			set_number(parents.buf, target, holder);
		} else if (!add_edge(&edges, owner, target))
			goto out;
	}
	result = PyBytes_FromStringAndSize((char *)edges.end,
					   (Py_ssize_t)(edges.count * 2 * sizeof(*edges.end)));
out:
	PyMem_Free(edges.end);
	PyBuffer_Release(&data);
	PyBuffer_Release(&from);
	PyBuffer_Release(&to);
	PyBuffer_Release(&blocks);
	PyBuffer_Release(&levels);
	PyBuffer_Release(&parents);
	return result;
}

/* One end of an edge: the buffer may lie anywhere, too. */
static size_t end_at(const void *edges, size_t index)
{
	uint32_t end;

	memcpy(&end, (const char *)edges + index * sizeof(end), sizeof(end));
	return end;
}

/* spread(edges, starts, levels, parents): from each object with a level, the higher one first,
 * along the edges. An object's parent becomes the start of the one that it was reached from. */
static PyObject *spread(PyObject *self, PyObject *arguments)
{
	Py_buffer pairs, from, marks, parents;
	uint32_t *first = NULL, *to = NULL, *queue = NULL;
	PyObject *result = NULL;
	unsigned char *levels;
	size_t count, edges, at, head, tail;
	int level;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*y*w*w*", &pairs, &from, &marks, &parents))
		return NULL;
	edges = (size_t)pairs.len / (2 * sizeof(uint32_t));
	count = (size_t)from.len / sizeof(uint64_t);
	levels = marks.buf;
	if ((size_t)pairs.len % (2 * sizeof(uint32_t)) || (size_t)from.len % sizeof(uint64_t) ||
	    (size_t)marks.len != count || parents.len != from.len || edges > UINT32_MAX) {
		PyErr_SetString(PyExc_ValueError, "spread()");
		goto out;
	}
	for (at = 0; at < 2 * edges; at++)
		if (end_at(pairs.buf, at) >= count) {
			PyErr_SetString(PyExc_ValueError, "spread(): an edge of no object");
			goto out;
		}
	first = PyMem_Calloc(count + 2, sizeof(*first));
	to = PyMem_Malloc((edges + 1) * sizeof(*to));
	queue = PyMem_Malloc((count + 1) * sizeof(*queue));
	if (!first || !to || !queue) {
		PyErr_NoMemory();
		goto out;
	}
	/* Counted two places ahead, so that filling moves each start to where it belongs. */
	for (at = 0; at < edges; at++)
		first[end_at(pairs.buf, 2 * at) + 2]++;
	for (at = 2; at < count + 2; at++)
		first[at] += first[at - 1];
	for (at = 0; at < edges; at++)
		to[first[end_at(pairs.buf, 2 * at) + 1]++] =
			(uint32_t)end_at(pairs.buf, 2 * at + 1);
	for (level = REACHED; level > 0; level--) {
		head = tail = 0;
		for (at = 0; at < count; at++)
			if (levels[at] == level)
				queue[tail++] = (uint32_t)at;
		while (head < tail) {
			uint32_t owner = queue[head++];

			for (at = first[owner]; at < first[owner + 1]; at++)
				if (levels[to[at]] < level) {
					levels[to[at]] = (unsigned char)level;
					set_number(parents.buf, to[at], number_at(from.buf, owner));
					queue[tail++] = to[at];
				}
		}
	}
	result = Py_None;
	Py_INCREF(result);
out:
	PyMem_Free(first);
	PyMem_Free(to);
	PyMem_Free(queue);
	PyBuffer_Release(&pairs);
	PyBuffer_Release(&from);
	PyBuffer_Release(&marks);
	PyBuffer_Release(&parents);
	return result;
}

/* --- The module ---------------------------------------------------------------------- */

static PyMethodDef functions[] = {
	{"states", states, METH_VARARGS,
	 "states(size, objects, shift, link, form, random, memory, base, head, expected)"
	 " -> bytes or None"},
	{"lines", lines, METH_VARARGS, "lines(size, firsts, states) -> str"},
	{"contents", contents, METH_VARARGS,
	 "contents(memory, first, shift, size, length, chosen, before, after, word, little)"
	 " -> str or None"},
	{"pointers", pointers, METH_VARARGS,
	 "pointers(data, word, foreign, starts, ends, blocks, shift) -> bytes"},
	{"mark", mark, METH_VARARGS,
	 "mark(data, address, word, foreign, starts, ends, blocks, shift, level, levels, parents)"
	 " -> bytes"},
	{"spread", spread, METH_VARARGS, "spread(edges, starts, levels, parents)"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "_slableak",
	.m_doc = "The commands' innermost loops.",
	.m_size = -1,
	.m_methods = functions,
};

PyMODINIT_FUNC PyInit__slableak(void)
{
	PyObject *module = PyModule_Create(&definition);

	fill_digit_pairs();
	if (module && PyModule_AddIntConstant(module, "VERSION", VERSION)) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
