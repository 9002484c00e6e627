# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks for a type besides size, name and words: who made the objects, and whose they are.

A function next to the allocation that returns a pointer to a structure of just that size; a
module that destroyed the cache, made it or its objects, or that all objects point into, and
declares such a structure for itself. types.py weighs what is found here.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from crash_ext.contents.types import MADE, OWN, Hint
from crash_ext.contents.words import Word
from crash_ext.kernel.kerneltypes import KernelTypes
from crash_ext.places.place import MODULE, SYMBOL
from crash_ext.places.places import Places
from crash_ext.slub.model import Cache

_OF_MODULE = re.compile(r"(.*) \[(\w+)\]")
_FUNCTION = re.compile(r"\w+")
"""Without what the compiler appends: "foo.isra.0"."""
_KMALLOC = re.compile(rb"([a-z]+-)*kmalloc-.*")
"""Caches whose objects' size is not their type's."""


class Function(NamedTuple):
    """A function of the kernel, or of a module."""

    name: str
    module: str
    """Empty for the kernel's."""


class Related(NamedTuple):
    """Who has to do with a cache's objects."""

    makers: List[Function]
    """On the stacks of their allocations, next to the allocator."""
    owners: Dict[str, str]
    """Module -> in words, what it has to do with the cache: it made it, or destroyed it."""
    pointed: Dict[str, str]
    """The same of modules that the objects only point into."""


def related(
    places: Places,
    cache: Cache,
    samples: Sequence[Sequence[Word]],
    makers: Sequence[Function] = (),
    destroyer: Optional[str] = None,
) -> Related:
    """Who has to do with a cache. samples: the words of some of its objects.

    makers: functions that allocated objects. destroyer: the module whose destroy of the cache,
    or of one of its name, the log has.
    """
    owners: Dict[str, str] = {}
    if destroyer is not None:
        owners[destroyer] = "which called the destroy in the log"
    ctor = function_at(places, cache.ctor) if cache.ctor else None
    if ctor is not None and ctor.module:
        owners.setdefault(ctor.module, "which has the cache's constructor")
    for maker in makers:
        if maker.module:
            owners.setdefault(maker.module, "which allocated objects")
    pointed = {
        module: "which the objects point into"
        for module in _pointed(samples)
        if module not in owners
    }
    return Related(list(dict.fromkeys(makers)), owners, pointed)


def type_hints(types: KernelTypes, cache: Cache, found: Related) -> Iterator[Hint]:
    """Structures of the objects' size that somebody who has to do with them knows."""
    size = cache.object_size
    for maker in found.makers:
        result = types.returned_by(maker.name, maker.module)
        if result is not None and result.size == size:
            yield Hint(result, f"{maker.name}(), which allocated objects, returns one", MADE)
    if cache.name is None or _KMALLOC.fullmatch(cache.name):
        return
    smallest = size if size % 8 else max(1, size - 7)
    for module, what in {**found.pointed, **found.owners}.items():
        for own in types.structs_of_size(smallest, size, module):
            yield Hint(own, f"is declared by {module}, {what}", OWN)


def unknown_modules(
    types: KernelTypes, files: Optional[Dict[str, bool]], found: Related
) -> List[str]:
    """The cache's modules whose types aren't known: no BTF, and the host hasn't read their files.

    files: Reader.module_files().
    """
    return [
        module
        for module in found.owners
        if files is not None and files.get(module) is False and not types.has_module(module)
    ]


def searched_modules(
    types: KernelTypes, files: Optional[Dict[str, bool]], found: Related
) -> List[str]:
    """The cache's modules whose types the host alone knows: only a search finds them, and it takes
    long. (No BTF of modules before v5.11, nor of those that are built without vmlinux.)"""
    return [
        module
        for module in found.owners
        if files is not None and files.get(module) and not types.has_module(module)
    ]


def function_at(places: Places, address: int) -> Optional[Function]:
    """The function that an address of the kernel's or a module's text is in."""
    place = places.name(address)
    if place is None or place.kind not in (SYMBOL, MODULE):
        return None
    label, module = _split(place.label)
    name = _FUNCTION.match(label)
    return Function(name.group(), module) if name else None


def _pointed(samples: Sequence[Sequence[Word]]) -> List[str]:
    """Modules whose symbols each of the objects points to."""
    every: List[Dict[str, None]] = [
        {
            _split(word.target.label)[1]: None
            for word in words
            if word.target is not None and word.target.kind == MODULE
        }
        for words in samples
        if words
    ]
    if not every:
        return []
    return [name for name in every[0] if name and all(name in names for names in every)]


def _split(label: str) -> Tuple[str, str]:
    """(symbol, module) of a Place's label."""
    found = _OF_MODULE.fullmatch(label)
    return (found.group(1), found.group(2)) if found else (label, "")
