# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches side by side, field by field: what differs between two of one name."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from crash_ext.hexa import hexa
from crash_ext.kernel.modules import Modules
from crash_ext.leak.survey import NodeCount, Survey
from crash_ext.reader import Reader
from crash_ext.slub.allocator import Slub
from crash_ext.slub.session import Session

Value = Union[int, str, bool, None]


class Row(NamedTuple):
    """One field of the compared caches."""

    field: str
    values: List[Value]
    more: List[bool]
    """Of a count: whether what can't be read may add to it; else False."""

    @property
    def differs(self) -> bool:
        """Whether the caches don't agree on it."""
        return any(value != self.values[0] for value in self.values)


def compare_caches(session: Session, surveys: Sequence[Survey]) -> Iterator[Row]:
    """The fields of the caches, a value for each cache; sizes and offsets in bytes."""

    def row(field: str, values: Iterator[Value], more: Sequence[bool] = ()) -> Row:
        return Row(field, list(values), list(more) or [False] * len(surveys))

    slabs = [survey.lacking for survey in surveys]
    objects = [survey.lacking or survey.unknown > 0 for survey in surveys]
    caches = [survey.cache for survey in surveys]
    yield row("state", (survey.state.kind for survey in surveys))
    yield row("on slab_caches", (cache.listed for cache in caches))
    yield row("refcount", (cache.refcount for cache in caches))
    if any(session.aliases(cache) for cache in caches):
        yield row("aliases", (_names(session.aliases(cache)) for cache in caches))
    if any(cache.root for cache in caches):
        yield row("memcg child of", (hexa(c.root) if c.root else None for c in caches))
    for field in ("object_size", "size", "align", "inuse", "offset"):
        yield row(field, (getattr(cache, field) for cache in caches))
    yield row("red_left_pad", (cache.red_left for cache in caches))
    yield from _flag_rows(session, surveys)
    yield row("ctor", (symbol_text(session, cache.ctor) for cache in caches))
    yield row("order", (cache.order for cache in caches))
    yield row("objects per slab", (cache.objects for cache in caches))
    yield row("slabs", (survey.slabs for survey in surveys), slabs)
    yield row("objects", (survey.objects for survey in surveys), slabs)
    yield row("allocated", (survey.allocated for survey in surveys), objects)
    for number in sorted({number for survey in surveys for number in survey.nodes}):
        counts = [survey.nodes.get(number, NodeCount(0, 0, 0, 0)) for survey in surveys]
        name = f"node {number}" if number >= 0 else "node ?"
        yield row(f"{name} partial slabs", (count.partial for count in counts), slabs)
        yield row(f"{name} slabs", (count.slabs for count in counts), slabs)
        yield row(f"{name} objects", (count.objects for count in counts), slabs)
        yield row(f"{name} allocated", (count.allocated for count in counts), objects)


def _names(names: List[bytes]) -> Optional[str]:
    return " ".join(name.decode("ascii", "backslashreplace") for name in names) or None


def symbol_text(slub: Slub, address: int) -> Optional[str]:
    """An address as symbol+offset, as a number where no symbol is near, None for NULL."""
    if not address:
        return None
    found = slub.reader.symbol_at(address) or _module_symbol(slub.reader, address)
    if found is None:
        return hexa(address)
    name, offset = found
    return f"{name}+{offset:#x}" if offset else name


def _module_symbol(reader: Reader, address: int) -> Optional[Tuple[str, int]]:
    """As symbol_at(), by the modules' own tables: a host may have been told to leave them."""
    modules = Modules(reader)
    region = modules.regions.at(address)
    symbol = modules.symbol(region, address) if region is not None else None
    if symbol is None:
        return None
    return symbol.name.decode("ascii", "backslashreplace"), address - symbol.address


def _flag_rows(slub: Slub, surveys: Sequence[Survey]) -> Iterator[Row]:
    """flags as a number, and each flag that one of the caches has by its name."""
    flags = [survey.cache.flags for survey in surveys]
    counts = [False] * len(surveys)
    yield Row("flags", [f"{value:x}" for value in flags], counts)
    names = [slub.layout.flags.names(value) for value in flags]
    for name in dict.fromkeys(name for own in names for name in own):
        yield Row(name, [name in own for own in names], counts)
