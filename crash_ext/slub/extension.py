# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slab keeps of each object's owner beside it: the memcg it is charged to, and the line
of source that allocated it (memory allocation profiling).

Knows where the entry of an object is in every layout since v5.9, and reads them once a slab.
What the entries point to is ownertags.py's.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from crash_ext.hexa import hexa
from crash_ext.kernel.memory import read_number, read_symbol_number, read_word
from crash_ext.reader import Reader, ReadError
from crash_ext.slub.allocator import Slub
from crash_ext.slub.model import Cache, Slab

_ENTRY = "slabobj_ext"
_CODETAG_EMPTY = 1
"""codetag_ref.ct of an object that has deliberately no tag."""
_MEMCG_FLAGS = 3
_FLAGS = 7


class Extension(NamedTuple):
    """What is kept for one object; 0: nothing."""

    objcg: int
    """struct obj_cgroup * that the object is charged to."""
    codetag: int
    """struct codetag * of the line that allocated it."""


class _Form(NamedTuple):
    """Where the parts of an entry are, in bytes. None: it has no such part."""

    size: int
    stride: int
    objcg: Optional[int]
    codetag: Optional[int]


class Extensions:
    """Reads the entries of one cache's slabs."""

    def __init__(self, slub: Slub, cache: Cache) -> None:
        self._reader = slub.reader
        self._cache = cache
        self._descriptor = slub.layout.slab.name
        # Linux kernel commit 580258a19284 ("mm/slab: introduce slab_obj_ext_has_codetag()") (in
        # v7.3): one codetag or one objcg a word.
        self._codetag_key = static_key(slub.reader, "slab_obj_ext_has_codetag_key")

    def of(self, slab: Slab, objects: int, problems: List[str]) -> Dict[int, Extension]:
        """Index -> what is kept, of a slab's first `objects` objects that have anything.

        What contradicts itself or can't be read goes to `problems`. Never raises.
        """
        try:
            return self._read(slab, objects)
        except (ReadError, ExtensionError) as error:
            problems.append(f"slab {hexa(slab.address)}: object extensions: {error}")
        return {}

    def _read(self, slab: Slab, objects: int) -> Dict[int, Extension]:
        base = self._vector(slab)
        form = self._form(slab, objects) if base and objects else None
        if form is None:
            return {}
        word, order = self._reader.word, self._reader.byteorder
        data = self._reader.read(base, (objects - 1) * form.stride + form.size)

        def part(index: int, offset: Optional[int]) -> int:
            if offset is None:
                return 0
            at = index * form.stride + offset
            return int.from_bytes(data[at : at + word], order)

        found: Dict[int, Extension] = {}
        for index in range(objects):
            tag = part(index, form.codetag)
            entry = Extension(part(index, form.objcg), 0 if tag == _CODETAG_EMPTY else tag)
            if entry.objcg or entry.codetag:
                found[index] = entry
        return found

    def _vector(self, slab: Slab) -> int:
        """Where the entry of object 0 is; 0 where the slab has none."""
        reader, struct = self._reader, self._descriptor
        # Linux kernel commit 21c690a349ba ("mm: introduce slabobj_ext to support slab object
        # extensions") (in v6.10). Before: memcg_data, and page.obj_cgroups.
        offset = reader.offset(struct, "obj_exts")
        if offset is not None:
            # Three flags with memcg, one without; a vector is aligned to 8.
            return read_word(reader, slab.address + offset) & ~_FLAGS
        # Linux kernel v5.11 gave memcg_data obj_cgroups' place. Bit 0: a vector, no memcg.
        for member in ("memcg_data", "obj_cgroups"):
            offset = reader.offset(struct, member)
            if offset is not None:
                value = read_word(reader, slab.address + offset)
                return value & ~_MEMCG_FLAGS if value & 1 else 0
        return 0

    def _form(self, slab: Slab, objects: int) -> Optional[_Form]:
        reader, struct = self._reader, self._descriptor
        word = reader.word
        if reader.offset(struct, "obj_exts") is None:
            return _Form(word, word, 0, None)
        one = reader.offset(_ENTRY, "_objcg"), reader.offset(_ENTRY, "_ctref")
        if one != (None, None):
            return self._one_word_form(slab)
        size = reader.struct_size(_ENTRY)
        if not size:
            return None
        stride = size
        # Linux kernel commit 7a8e71bc619d ("mm/slab: use stride to access slabobj_ext") (in
        # v7.0); 64-bit only. A page of the KFENCE pool needn't have it set.
        offset = reader.offset(struct, "stride")
        if offset is not None and objects > 1:
            width = reader.size(struct, "stride") or word
            stride = read_number(reader, slab.address + offset, width)
            if stride not in (size, self._cache.size):
                raise ExtensionError(f"stride {stride}, an entry is {size} bytes")
        return _Form(size, stride, reader.offset(_ENTRY, "objcg"), reader.offset(_ENTRY, "ref"))

    def _one_word_form(self, slab: Slab) -> Optional[_Form]:
        """One or two words an object: two bits beside the counters say which.

        So since the series of 580258a19284 (see above).
        """
        word = self._reader.word
        needs_objcg = self._bit(slab, "obj_exts_needs_objcg", 1)
        in_object = self._bit(slab, "obj_exts_in_object", 0)
        if needs_objcg is None:
            return None
        codetag = self._codetag_key
        size = word * (int(needs_objcg) + int(codetag))
        if not size:
            raise ExtensionError("a vector, but nothing to keep in it")
        stride = self._cache.size if in_object else size
        at = word if needs_objcg else 0
        return _Form(size, stride, 0 if needs_objcg else None, at if codetag else None)

    def _bit(self, slab: Slab, member: str, position: int) -> Optional[bool]:
        """A bit field of the unit behind the counters; None where there's no such member."""
        reader = self._reader
        offset = reader.offset(self._descriptor, member)
        if offset is None:
            return None
        size = reader.size(self._descriptor, member) or 4
        value = read_number(reader, slab.address + offset // size * size, size)
        shift = position if reader.byteorder == "little" else 8 * size - 1 - position
        return bool(value >> shift & 1)


class ExtensionError(Exception):
    """The slab's record contradicts itself; the text says how."""


def has_profiling(reader: Reader) -> bool:
    """Whether the kernel was built with memory allocation profiling.

    struct alloc_tag is there without, too: ask for the entry's member.
    """
    return any(reader.offset(_ENTRY, member) is not None for member in ("_ctref", "ref"))


def static_key(reader: Reader, name: str) -> bool:
    """Whether a static key (struct static_key_true or _false) is on; False: there's none."""
    # `enabled` opens struct static_key.
    enabled = read_symbol_number(reader, name, 4)
    return enabled is not None and 0 < enabled < 1 << 31
