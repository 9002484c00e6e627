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
#define VERSION 4

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

/* The same of 32-bit numbers. */
static uint32_t small_at(const void *buffer, size_t index)
{
	uint32_t number;

	memcpy(&number, (const char *)buffer + index * sizeof(number), sizeof(number));
	return number;
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
			all += each + 2 * word;
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
		to = put_hex(to + before_size, address, 2 * word);
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

/* Sorted ranges, and the blocks of 1 << shift bytes from the first start on that have some. */
struct ranges {
	Py_buffer starts, sizes, blocks;
	size_t count;
	uint64_t first;
	int shift;
};

/* Whether they are what kernel/search.py's Targets has; there is at least one. */
static bool check_ranges(struct ranges *ranges)
{
	ranges->count = (size_t)ranges->starts.len / sizeof(uint64_t);
	if (ranges->shift < 0 || ranges->shift > 63 || !ranges->count ||
	    ranges->count >= UINT32_MAX || (size_t)ranges->starts.len % sizeof(uint64_t) ||
	    (size_t)ranges->sizes.len != ranges->count * sizeof(uint32_t))
		return false;
	ranges->first = number_at(ranges->starts.buf, 0);
	return true;
}

static void release_ranges(struct ranges *ranges)
{
	PyBuffer_Release(&ranges->starts);
	PyBuffer_Release(&ranges->sizes);
	PyBuffer_Release(&ranges->blocks);
}

static bool in_range(const struct ranges *ranges, size_t index, uint64_t value)
{
	uint64_t start = number_at(ranges->starts.buf, index);

	return value >= start && value - start < small_at(ranges->sizes.buf, index);
}

/* Number of the range that a value lies in; count: none. */
static size_t find_range(const struct ranges *ranges, uint64_t value)
{
	uint64_t block = (value - ranges->first) >> ranges->shift;
	size_t low = 0, high = ranges->count;

	if (value < ranges->first || block >= (uint64_t)ranges->blocks.len ||
	    !((char *)ranges->blocks.buf)[block])
		return ranges->count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (number_at(ranges->starts.buf, middle) <= value)
			low = middle;
		else
			high = middle;
	}
	return in_range(ranges, low, value) ? low : ranges->count;
}

/* pointers(data, word, foreign, starts, sizes, blocks, shift): (offset of a word in the data,
 * number of the range that it points into), packed as 64-bit numbers. blocks: 1 for each
 * 1 << shift bytes from the first start on that a range has a part of. */
static PyObject *pointers(PyObject *self, PyObject *arguments)
{
	struct pairs found = {0};
	struct ranges ranges;
	PyObject *result = NULL;
	int word, foreign;
	Py_buffer data;
	Py_ssize_t at;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*iiy*y*y*i", &data, &word, &foreign, &ranges.starts,
			      &ranges.sizes, &ranges.blocks, &ranges.shift))
		return NULL;
	if ((word != 8 && word != 4) || !check_ranges(&ranges)) {
		PyErr_SetString(PyExc_ValueError, "pointers()");
		goto out;
	}
	for (at = 0; at + word <= data.len; at += word) {
		uint64_t value = load((unsigned char *)data.buf + at, word, foreign);
		size_t index = find_range(&ranges, value);

		if (index < ranges.count && !add_pair(&found, (uint64_t)at, index))
			break;
	}
	result = pairs_bytes(&found);
out:
	PyBuffer_Release(&data);
	release_ranges(&ranges);
	return result;
}

/* --- Marks --------------------------------------------------------------------------- */

enum { REACHED = 2 };

/* Pairs of objects' numbers, as they grow; those before `head` are done with. */
struct edges {
	uint32_t *end;
	size_t head, count, room;
};

static bool add_edge(struct edges *edges, size_t from, size_t to)
{
	uint32_t *larger;

	if (edges->count == edges->room && edges->head > edges->room / 2) {
		edges->count -= edges->head;
		memmove(edges->end, edges->end + 2 * edges->head,
			edges->count * 2 * sizeof(*edges->end));
		edges->head = 0;
	}
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

static PyObject *edges_bytes(const struct edges *edges)
{
	return PyBytes_FromStringAndSize((char *)edges->end,
					 (Py_ssize_t)(edges->count * 2 * sizeof(*edges->end)));
}

/* Objects' marks, as reach/mark.py describes them. */
struct marks {
	unsigned char *levels;
	void *parents;
	const void *starts;
	size_t count;
	const void *sorted; /* edges by the object that they begin in */
	size_t sorted_count;
	struct edges queue; /* objects to mark: from, to */
	struct edges kept;  /* edges that find no place in `parents` */
};

/* levels, parents: the buffers that the marks were lent. */
static void release_marks(struct marks *marks, Py_buffer *levels, Py_buffer *parents)
{
	PyMem_Free(marks->queue.end);
	PyMem_Free(marks->kept.end);
	PyBuffer_Release(levels);
	PyBuffer_Release(parents);
}

enum { OFTEN = 0xffff };

/* Ctrl-C has to be seen while a loop runs that is as long as there are objects: asked each time,
 * looks now and then. False: an exception is set. */
static bool go_on(size_t *turns)
{
	return (++*turns & OFTEN) || !PyErr_CheckSignals();
}

/* Half of an unmarked object's place for its parent: 1 + the number of an object, 0: none. */
static uint32_t half_of(uint64_t parent, int half)
{
	return (uint32_t)(half ? parent >> 32 : parent);
}

/* Index of the first sorted edge that begins in an object with that number or a higher one. */
static size_t first_edge(const void *sorted, size_t count, uint32_t from)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (small_at(sorted, 2 * middle) < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Mark an object; what it points into waits in the queue then. */
static bool mark_one(struct marks *marks, size_t number, int level, uint64_t parent)
{
	uint64_t to = marks->levels[number] ? 0 : number_at(marks->parents, number);
	size_t at;
	int half;

	marks->levels[number] = (unsigned char)level;
	set_number(marks->parents, number, parent);
	for (half = 0; half < 2; half++) {
		uint32_t target = half_of(to, half);

		if (!target || target > marks->count)
			continue;
		if (!add_edge(&marks->queue, number, target - 1))
			return false;
		/* It may get a higher level later, and they with it. */
		if (level < REACHED && !add_edge(&marks->kept, number, target - 1))
			return false;
	}
	for (at = first_edge(marks->sorted, marks->sorted_count, (uint32_t)number);
	     at < marks->sorted_count && small_at(marks->sorted, 2 * at) == number; at++)
		if (!add_edge(&marks->queue, number, small_at(marks->sorted, 2 * at + 1)))
			return false;
	return true;
}

static bool mark_with_others(struct marks *marks, size_t number, int level, uint64_t parent)
{
	struct edges *queue = &marks->queue;
	size_t turns = 0;

	if (!mark_one(marks, number, level, parent))
		return false;
	while (queue->head < queue->count) {
		uint32_t from = queue->end[2 * queue->head];
		uint32_t to = queue->end[2 * queue->head + 1];

		queue->head++;
		if (!go_on(&turns))
			return false;
		if (marks->levels[to] < level &&
		    !mark_one(marks, to, level, number_at(marks->starts, from)))
			return false;
	}
	queue->head = queue->count = 0;
	return true;
}

/* Note that one object points into another one; neither is reached. */
static bool note_edge(struct marks *marks, size_t from, size_t to)
{
	struct edges *kept = &marks->kept;
	uint64_t both;

	if (!marks->levels[from]) {
		both = number_at(marks->parents, from);
		if (half_of(both, 0) == to + 1 || half_of(both, 1) == to + 1)
			return true;
		if (!both || !half_of(both, 1)) {
			set_number(marks->parents, from, both ? both | (uint64_t)(to + 1) << 32 : to + 1);
			return true;
		}
	}
	return add_edge(kept, from, to);
}

/* mark(data, address, word, foreign, starts, sizes, blocks, shift, level, levels, parents): see
 * reach/mark.py. With a level the data are a root; with 0 they are objects' memory. What comes
 * back are the edges (32-bit pairs) that find no place in `parents`. */
static PyObject *mark(PyObject *self, PyObject *arguments)
{
	struct marks marks = {0};
	struct ranges ranges;
	Py_buffer data, levels, parents;
	PyObject *result = NULL;
	unsigned long long address;
	int word, foreign, level;
	Py_ssize_t at;
	size_t owner = 0;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*Kiiy*y*y*iiw*w*", &data, &address, &word, &foreign,
			      &ranges.starts, &ranges.sizes, &ranges.blocks, &ranges.shift, &level,
			      &levels, &parents))
		return NULL;
	if ((word != 8 && word != 4) || !check_ranges(&ranges) || level < 0 || level > REACHED ||
	    parents.len != ranges.starts.len || (size_t)levels.len != ranges.count) {
		PyErr_SetString(PyExc_ValueError, "mark()");
		goto out;
	}
	marks.levels = levels.buf;
	marks.parents = parents.buf;
	marks.starts = ranges.starts.buf;
	marks.count = ranges.count;
	for (at = 0; at + word <= data.len; at += word) {
		uint64_t value = load((unsigned char *)data.buf + at, word, foreign);
		uint64_t holder = address + (uint64_t)at;
		size_t target = find_range(&ranges, value);

		if (target == ranges.count || marks.levels[target] == REACHED)
			continue;
		if (level) {
			if (marks.levels[target] < level &&
			    !mark_with_others(&marks, target, level, holder))
				goto out;
			continue;
		}
		if (!in_range(&ranges, owner, holder)) {
			size_t found = find_range(&ranges, holder);

			if (found == ranges.count)
				continue;
			owner = found;
		}
		if (owner == target)
			continue;
		if (marks.levels[owner] == REACHED
			    ? !mark_with_others(&marks, target, REACHED, holder)
			    : !note_edge(&marks, owner, target))
			goto out;
	}
	result = edges_bytes(&marks.kept);
out:
	release_marks(&marks, &levels, &parents);
	PyBuffer_Release(&data);
	release_ranges(&ranges);
	return result;
}

static int by_owner(const void *one, const void *other)
{
	uint32_t first = small_at(one, 0), second = small_at(other, 0);

	return first < second ? -1 : first > second;
}

/* Sorts edges, in place, by the object that they begin in. False: one is of no object. */
static bool sort_edges(const Py_buffer *edges, size_t count)
{
	size_t ends = (size_t)edges->len / sizeof(uint32_t), at;

	if ((size_t)edges->len % (2 * sizeof(uint32_t)))
		return false;
	for (at = 0; at < ends; at++)
		if (small_at(edges->buf, at) >= count)
			return false;
	qsort(edges->buf, ends / 2, 2 * sizeof(uint32_t), by_owner);
	return true;
}

/* spread(edges, starts, levels, parents): from each object with a level, the higher one first,
 * along the edges, which get sorted. An object's parent becomes the start of the one that it was
 * reached from. What comes back are edges to be kept beside these. */
static PyObject *spread(PyObject *self, PyObject *arguments)
{
	struct marks marks = {0};
	Py_buffer edges, from, levels, parents;
	PyObject *result = NULL;
	size_t at;
	int level;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "w*y*w*w*", &edges, &from, &levels, &parents))
		return NULL;
	marks.count = (size_t)from.len / sizeof(uint64_t);
	if ((size_t)from.len % sizeof(uint64_t) || (size_t)levels.len != marks.count ||
	    marks.count >= UINT32_MAX || parents.len != from.len ||
	    !sort_edges(&edges, marks.count)) {
		PyErr_SetString(PyExc_ValueError, "spread()");
		goto out;
	}
	marks.levels = levels.buf;
	marks.parents = parents.buf;
	marks.starts = from.buf;
	marks.sorted = edges.buf;
	marks.sorted_count = (size_t)edges.len / (2 * sizeof(uint32_t));
	for (level = REACHED; level > 0; level--)
		for (at = 0; at < marks.sorted_count; at++) {
			uint32_t owner = small_at(edges.buf, 2 * at);
			uint32_t target = small_at(edges.buf, 2 * at + 1);

			if (marks.levels[owner] >= level && marks.levels[target] < level &&
			    !mark_with_others(&marks, target, level, number_at(from.buf, owner)))
				goto out;
		}
	result = edges_bytes(&marks.kept);
out:
	release_marks(&marks, &levels, &parents);
	PyBuffer_Release(&edges);
	PyBuffer_Release(&from);
	return result;
}

/* lost(edges, levels, parents): the edges between objects without a level, those that `parents`
 * has included. */
static PyObject *lost(PyObject *self, PyObject *arguments)
{
	Py_buffer pairs, levels, parents;
	struct edges found = {0};
	PyObject *result = NULL;
	size_t count, at;
	int half;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*y*y*", &pairs, &levels, &parents))
		return NULL;
	count = (size_t)levels.len;
	if ((size_t)pairs.len % (2 * sizeof(uint32_t)) || count >= UINT32_MAX ||
	    (size_t)parents.len != count * sizeof(uint64_t)) {
		PyErr_SetString(PyExc_ValueError, "lost()");
		goto out;
	}
	for (at = 0; at < count; at++)
		for (half = 0; half < 2 && !((char *)levels.buf)[at]; half++) {
			uint32_t target = half_of(number_at(parents.buf, at), half);

			if (target && target <= count && !((char *)levels.buf)[target - 1] &&
			    !add_edge(&found, at, target - 1))
				goto out;
		}
	for (at = 0; at < (size_t)pairs.len / (2 * sizeof(uint32_t)); at++) {
		uint32_t from = small_at(pairs.buf, 2 * at), to = small_at(pairs.buf, 2 * at + 1);

		if (from < count && to < count && !((char *)levels.buf)[from] &&
		    !((char *)levels.buf)[to] && !add_edge(&found, from, to))
			goto out;
	}
	result = edges_bytes(&found);
out:
	PyMem_Free(found.end);
	PyBuffer_Release(&pairs);
	PyBuffer_Release(&levels);
	PyBuffer_Release(&parents);
	return result;
}

/* Gives a mark to all that the sorted edges lead to from an object, itself left out, and that
 * have none. stack: of pairs whose second half counts. */
static bool follow_edges(const void *sorted, size_t edges, char *marks, uint32_t from, char mark,
			 struct edges *stack)
{
	size_t at, turns = 0;

	stack->count = 0;
	if (!add_edge(stack, 0, from))
		return false;
	while (stack->count) {
		uint32_t each = stack->end[2 * --stack->count + 1];

		if (!go_on(&turns))
			return false;
		for (at = first_edge(sorted, edges, each);
		     at < edges && small_at(sorted, 2 * at) == each; at++) {
			uint32_t target = small_at(sorted, 2 * at + 1);

			if (target == from || marks[target])
				continue;
			marks[target] = mark;
			if (!add_edge(stack, 0, target))
				return false;
		}
	}
	return true;
}

/* inner(edges, count): see reach/inner.py. The edges get sorted. */
static PyObject *inner(PyObject *self, PyObject *arguments)
{
	struct edges stack = {0}, firsts = {0};
	PyObject *result = NULL;
	unsigned long long count;
	Py_buffer pairs;
	char *marks = NULL;
	size_t edges, at;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "w*K", &pairs, &count))
		return NULL;
	edges = (size_t)pairs.len / (2 * sizeof(uint32_t));
	if (count >= UINT32_MAX || !sort_edges(&pairs, (size_t)count)) {
		PyErr_SetString(PyExc_ValueError, "inner()");
		goto out;
	}
	marks = PyMem_Calloc((size_t)count + 1, 1);
	if (!marks) {
		PyErr_NoMemory();
		goto out;
	}
	for (at = 0; at < edges; at++) {
		uint32_t each = small_at(pairs.buf, 2 * at);

		if (marks[each])
			continue;
		marks[each] = 1;
		if (!add_edge(&firsts, 0, each) ||
		    !follow_edges(pairs.buf, edges, marks, each, 1, &stack))
			goto out;
	}
	memset(marks, 0, (size_t)count);
	for (at = firsts.count; at-- > 0;) {
		uint32_t each = firsts.end[2 * at + 1];

		if (!marks[each] && !follow_edges(pairs.buf, edges, marks, each, 1, &stack))
			goto out;
	}
	result = PyBytes_FromStringAndSize(marks, (Py_ssize_t)count);
out:
	PyMem_Free(marks);
	PyMem_Free(stack.end);
	PyMem_Free(firsts.end);
	PyBuffer_Release(&pairs);
	return result;
}

/* --- Contents ------------------------------------------------------------------------ */

/* plain(memory, shift, size, length, chosen, word, foreign, lowest, marks): for each object a
 * byte: 1 if it is chosen and each of its whole words is lower than `lowest` and none of the
 * marks (64-bit numbers, sorted). */
static PyObject *plain(PyObject *self, PyObject *arguments)
{
	unsigned long long shift, size, length, lowest;
	Py_buffer memory, chosen, marks;
	PyObject *result = NULL;
	int word, foreign;
	size_t count, at;
	Py_ssize_t i;
	char *said;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "y*KKKy*iiKy*", &memory, &shift, &size, &length, &chosen,
			      &word, &foreign, &lowest, &marks))
		return NULL;
	count = (size_t)marks.len / sizeof(uint64_t);
	if ((word != 8 && word != 4) || (size_t)marks.len % sizeof(uint64_t) ||
	    shift > UINT32_MAX || size > UINT32_MAX || length > (size_t)memory.len ||
	    (size_t)chosen.len > UINT32_MAX ||
	    (chosen.len && shift + (unsigned long long)(chosen.len - 1) * size + length >
				   (size_t)memory.len)) {
		PyErr_SetString(PyExc_ValueError, "plain()");
		goto out;
	}
	result = PyBytes_FromStringAndSize(NULL, chosen.len);
	if (!result)
		goto out;
	said = PyBytes_AS_STRING(result);
	for (i = 0; i < chosen.len; i++) {
		const unsigned char *object =
			(unsigned char *)memory.buf + shift + (size_t)i * (size_t)size;

		said[i] = ((char *)chosen.buf)[i] != 0;
		for (at = 0; said[i] && at + (size_t)word <= length; at += (size_t)word) {
			uint64_t value = load(object + at, word, foreign);
			size_t low = 0, high = count;

			while (low < high) {
				size_t middle = low + (high - low) / 2;

				if (number_at(marks.buf, middle) < value)
					low = middle + 1;
				else
					high = middle;
			}
			said[i] = value < lowest &&
				  (low == count || number_at(marks.buf, low) != value);
		}
	}
out:
	PyBuffer_Release(&memory);
	PyBuffer_Release(&chosen);
	PyBuffer_Release(&marks);
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
	 "pointers(data, word, foreign, starts, sizes, blocks, shift) -> bytes"},
	{"mark", mark, METH_VARARGS,
	 "mark(data, address, word, foreign, starts, sizes, blocks, shift, level, levels, parents)"
	 " -> bytes"},
	{"spread", spread, METH_VARARGS, "spread(edges, starts, levels, parents) -> bytes"},
	{"lost", lost, METH_VARARGS, "lost(edges, levels, parents) -> bytes"},
	{"inner", inner, METH_VARARGS, "inner(edges, count) -> bytes"},
	{"plain", plain, METH_VARARGS,
	 "plain(memory, shift, size, length, chosen, word, foreign, lowest, marks) -> bytes"},
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
