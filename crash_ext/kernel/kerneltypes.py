# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of one kernel and its modules, as BTF in its own memory has them.

Knows where the blobs lie: the kernel's between __start_BTF and __stop_BTF, a module's on the
list btf_modules, there only if it was built with pahole. A blob that can't be read, or is
damaged, is as if it weren't there; `problems` tell why.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from crash_ext.kernel.btf import Btf, BtfError
from crash_ext.kernel.declared import Structure, returned, structure
from crash_ext.kernel.memory import read_string, walk_both_ways
from crash_ext.reader import Reader, ReadError

_LARGEST = 1 << 26
"""Bytes; the kernel itself takes no more than 16 MB (BTF_MAX_SIZE)."""
_MODULES = 1 << 13


class KernelTypes:
    """The structures of a kernel and of its loaded modules; none where there's no BTF."""

    def __init__(self, kernel: Optional[Btf], modules: Dict[str, Btf], problems: List[str]) -> None:
        self._kernel = kernel
        self._modules = modules
        self.problems = problems

    def __bool__(self) -> bool:
        """Whether the kernel's own types are there."""
        return self._kernel is not None

    def has_module(self, name: str) -> bool:
        """Whether the types of the module of that name are there."""
        return name in self._modules

    def structs_named(self, name: str) -> List[Structure]:
        """Structures of that name, the kernel's first."""
        return list(self._structures((btf, btf.structs_named(name)) for btf in self._blobs()))

    def structs_of_size(
        self, smallest: int, largest: int, module: Optional[str] = None
    ) -> List[Structure]:
        """Structures of so many bytes; module: only those that this one declares for itself."""
        if module is not None:
            own = self._modules.get(module)
            blobs = iter([] if own is None else [own])
        else:
            blobs = self._blobs()
        sized = ((btf, btf.structs_of_size(smallest, largest)) for btf in blobs)
        return list(self._structures(sized))

    def returned_by(self, function: str, module: str = "") -> Optional[Structure]:
        """What a function of the kernel, or of a module, returns a pointer to.

        None where it's unknown, or no structure.
        """
        btf = self._modules.get(module) if module else self._kernel
        ident = None if btf is None else btf.function(function)
        return None if btf is None or ident is None else returned(btf, ident, module)

    def _blobs(self) -> Iterator[Btf]:
        if self._kernel is not None:
            yield self._kernel
        yield from self._modules.values()

    def _structures(self, found: Iterator[Tuple[Btf, List[int]]]) -> Iterator[Structure]:
        names = {id(btf): name for name, btf in self._modules.items()}
        for btf, idents in found:
            for ident in idents:
                each = structure(btf, ident, names.get(id(btf), ""))
                if each is not None:
                    yield each


class KernelBtf(NamedTuple):
    """The kernel's own BTF."""

    btf: Optional[Btf]
    """None where it has none, or it's of no use."""
    problems: List[str]
    """Why it's of no use."""


def read_kernel_btf(reader: Reader) -> KernelBtf:
    """The kernel's own BTF, which never changes while the kernel runs."""
    start, stop = reader.symbol("__start_BTF"), reader.symbol("__stop_BTF")
    problems: List[str] = []
    if start is None or stop is None or stop == start:
        return KernelBtf(None, problems)
    btf = _read(reader, start, stop - start, None, "the kernel's BTF", problems)
    return KernelBtf(btf, problems)


def kernel_types(reader: Reader, kernel: KernelBtf) -> KernelTypes:
    """The types of the kernel, read before, and of the modules that are loaded now."""
    modules: Dict[str, Btf] = {}
    problems = list(kernel.problems)
    if kernel.btf is not None:
        for name, found in _module_blobs(reader, kernel.btf, problems):
            modules.setdefault(name, found)
    return KernelTypes(kernel.btf, modules, problems)


class _Places(NamedTuple):
    """Offsets of members of struct btf_module and struct btf, in bytes."""

    list: int
    btf: int
    data: int
    size: int
    first: int
    strings: int
    name: int


def _module_blobs(reader: Reader, kernel: Btf, problems: List[str]) -> Iterator[Tuple[str, Btf]]:
    # Linux kernel commit 36e68442d1af ("bpf: Load and verify kernel module BTFs") (in v5.11).
    # From Linux kernel commit 8646db238997 ("libbpf,bpf: Share BTF relocate-related code with
    # kernel") (in v6.11) on a module may have been built against another kernel's types; what
    # the kernel keeps is relocated to its own.
    head = reader.symbol("btf_modules")
    places = _places(kernel)
    if head is None or places is None:
        return
    for entry in walk_both_ways(reader, head).addresses[:_MODULES]:
        try:
            address = _number(reader, entry - places.list + places.btf, reader.word)
            data = _number(reader, address + places.data, reader.word)
            size = _number(reader, address + places.size, 4)
            first = _number(reader, address + places.first, 4)
            strings = _number(reader, address + places.strings, 4)
        except ReadError:
            continue
        name = (read_string(reader, address + places.name) or b"").decode("ascii", "replace")
        what = f"the BTF of {name}"
        if (first, strings) != (kernel.end, kernel.string_end):
            problems.append(f"{what} builds upon other types than the kernel's")
            continue
        found = _read(reader, data, size, kernel, what, problems)
        if found is not None and name:
            yield name, found


def _places(kernel: Btf) -> Optional[_Places]:
    module = _offsets(kernel, "btf_module", ("list", "btf"))
    blob = _offsets(kernel, "btf", ("data", "data_size", "start_id", "start_str_off", "name"))
    return _Places(*module, *blob) if module and blob else None


def _offsets(kernel: Btf, name: str, members: Tuple[str, ...]) -> List[int]:
    """The offsets of a structure's own members in bytes; empty where one is missing."""
    for ident in kernel.structs_named(name):
        entry = kernel.entry(ident)
        if entry is None:
            continue
        at = {field.name: field.bit // 8 for field in kernel.fields(entry)}
        if all(member in at for member in members):
            return [at[member] for member in members]
    return []


def _read(
    reader: Reader,
    address: int,
    size: int,
    base: Optional[Btf],
    what: str,
    problems: List[str],
) -> Optional[Btf]:
    if not 0 < size <= _LARGEST:
        problems.append(f"{what} is damaged: it has {size} bytes")
        return None
    try:
        return Btf(reader.read(address, size), reader.byteorder, reader.word, base)
    except (ReadError, BtfError) as error:
        problems.append(f"{what} is of no use: {error}")
        return None


def _number(reader: Reader, address: int, size: int) -> int:
    return int.from_bytes(reader.read(address, size), reader.byteorder)
