# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols as drgn has them, told as crash tells them. The program here is a stand-in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List, Tuple, cast

import drgn
import pytest

from crash_ext.host.drgnsymbols import SymbolTable

TEXT = 0xFFFF800080000000
KASLR = 0x2E4B11A00000


class Program:
    """Symbols with their sizes; the rest of drgn.Program that a table of them asks."""

    def __init__(self, symbols: List[Tuple[int, str, int]], vmcoreinfo: str = "") -> None:
        self._symbols = [
            SimpleNamespace(address=address, name=name, size=size, kind=SimpleNamespace(value=2))
            for address, name, size in symbols
        ]
        self._objects: Dict[str, Any] = {}
        if vmcoreinfo:
            self._objects["VMCOREINFO"] = SimpleNamespace(string_=vmcoreinfo.encode)

    def symbol(self, name: str) -> SimpleNamespace:
        for each in self._symbols:
            if each.name == name:
                return each
        raise LookupError(name)

    def symbols(self) -> List[SimpleNamespace]:
        return self._symbols

    def __getitem__(self, name: str) -> Any:
        if name not in self._objects:
            raise LookupError(name)
        return self._objects[name]


@pytest.fixture(autouse=True)
def _no_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> Any:
        return lambda *_: []

    monkeypatch.setattr("crash_ext.host.drgnsymbols.load_module_kallsyms", none)


def table(symbols: List[Tuple[int, str, int]], vmcoreinfo: str = "") -> SymbolTable:
    return SymbolTable(cast(drgn.Program, Program(symbols, vmcoreinfo)))


def test_the_image_never_ends_before_it_starts() -> None:
    """arm64 with KASLR: drgn moves all symbols but those behind the last section."""
    symbols = [(TEXT + KASLR, "_text", 0), (TEXT + 0x2000000, "_end", 0)]
    told = f"OSRELEASE=6.1.0\nKERNELOFFSET={KASLR:x}\nPAGESIZE=4096\n"
    assert table(symbols, told).address("_end") == TEXT + KASLR + 0x2000000
    assert table(symbols).address("_end") is None
    moved = [(TEXT + KASLR, "_text", 0), (TEXT + KASLR + 0x2000000, "_end", 0)]
    assert table(moved, told).address("_end") == TEXT + KASLR + 0x2000000


def test_an_address_is_the_last_symbols_before_it_whatever_its_size() -> None:
    known = table([(TEXT, "_text", 0), (TEXT + 0x10, "short", 4), (TEXT + 0x100, "last", 8)])
    assert known.at(TEXT + 0x18) == ("short", 8)
    assert known.holding(TEXT + 0x18) is None
    assert known.holding(TEXT + 0x13) == ("short", 3)
    assert known.at(TEXT + 0x101) is None
    assert known.at(TEXT - 1) is None


def test_of_several_names_the_first_is_the_address_and_the_last_what_follows() -> None:
    known = table(
        [(TEXT, "startup_64", 0), (TEXT, "_text", 0), (TEXT, "_stext", 0), (TEXT + 9, "z", 0)]
    )
    assert known.at(TEXT) == ("_stext", 0)
    assert known.at(TEXT + 4) == ("startup_64", 4)


def test_per_cpu_variables_counted_from_0_have_names_but_constants_do_not() -> None:
    symbols = [(TEXT, "_text", 0), (0, "__per_cpu_start", 0), (0x340, "runqueues", 0x80)]
    symbols += [(0x400, "__per_cpu_end", 0), (0x500, "saved_context_size", 0)]
    known = table(symbols)
    assert known.percpu(0x348) == ("runqueues", 8)
    assert known.at(0x348) is None
    assert known.percpu(0x500) is None
    assert table(symbols[:1]).percpu(0x348) is None
