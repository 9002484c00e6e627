# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `crash`: its answers against crash's own."""

from __future__ import annotations

import ast
import os
import sys
from typing import Any, Dict

import pytest

from crash_ext.host import native

from .story import SYMBOL, Said


@pytest.fixture
def value(answers: Dict[str, str]) -> Dict[str, Any]:
    """The answers that are values, as values."""
    found = {}
    for name, text in answers.items():
        try:
            found[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            continue
    return found


def test_symbols(value: Dict[str, Any], said: Said) -> None:
    address = said["truth sym"].split()[0]
    assert value["symbol_exists"] == (1, 0)
    assert value["sym2addr"] == (f"0x{address}", 0)
    assert value["sym2alladdr"] == (True, True, [])
    assert value["addr2sym"] == [SYMBOL, None]
    assert value["addr2sym loose"] == (SYMBOL, 3)
    assert value["addr2sym none"] == (None, (None, None))


def test_the_innermost_loops_are_those_that_the_commands_expect(value: Dict[str, Any]) -> None:
    assert value["native"] == native.VERSION


def test_modules(value: Dict[str, Any]) -> None:
    assert value["addr2mod"] == (None, None)
    assert value["addr2mod all"], "the lab's dump has its module loaded"
    assert all(name == found for name, found in value["addr2mod all"])


def test_memory(value: Dict[str, Any], said: Said) -> None:
    words = [int(word, 16) for word in said["truth rd"].split()[1:3]]
    data = b"".join(word.to_bytes(8, sys.byteorder) for word in words)
    assert value["readmem"] == data.hex()
    assert value["readmem types"] == [True, 8]
    assert value["readPtr"] == hex(words[0])
    assert value["readInt"] == [
        int.from_bytes(data[:size], sys.byteorder, signed=sign)
        for size in (1, 2, 4, 8)
        for sign in (False, True)
    ]


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ("zero", "builtins.IndexError: "),
        ("zero pointer", "builtins.IndexError: "),
        ("zero integer", "crash.error: "),
        ("no size", "crash.error: cannot read 0 bytes"),
        ("negative size", "crash.error: cannot read -1 bytes"),
        ("odd integer", "crash.error: "),
        ("negative", "crash.error: invalid parameter type"),
        ("too wide", "crash.error: invalid parameter type"),
        ("over the end", "crash.error: cannot read 8 bytes at kernel address fffffffffffffffe"),
        ("unmapped", "crash.error: cannot read 8 bytes at kernel address ffffffffffff0000"),
        ("no int", "crash.error: invalid parameter type"),
        ("too few", "crash.error: invalid parameter type"),
        ("odd type", "crash.error: invalid parameter type"),
        ("addr2sym no int", "crash.error: invalid parameter type"),
        ("register wrong", "crash.error: invalid parameter type"),
        ("user", "crash.error: cannot read 8 bytes at user address 1000"),
    ],
)
def test_errors(answers: Dict[str, str], question: str, error: str) -> None:
    assert answers[question].startswith(error)


def test_types(value: Dict[str, Any], said: Said) -> None:
    size = int(said["truth size"].split("=")[1])
    at_list, at_lru = (int(said[f"truth {name}"].split()[-1], 16) for name in ("list", "lru"))
    assert value["struct_size"] == [size, size, -1, -1, -1, -1, -1]
    assert value["member_offset"] == [at_list, at_list, at_lru, at_lru, -1, -1, -1, -1]
    assert value["member_size"] == [16, 0, 0]


def test_enumerators(value: Dict[str, Any]) -> None:
    slab, *missing = value["enumerator"]
    assert slab == 9  # include/linux/page-flags.h of 6.1
    assert missing == [None, None]


def test_pages(value: Dict[str, Any], said: Said) -> None:
    page = said["truth page"].splitlines()[1].split()[0]
    assert value["phys_to_page"] == (f"0x{page}", None)


def test_gdb(value: Dict[str, Any]) -> None:
    found, missing = value["gdb"]
    assert found.endswith(" = 16\n")
    assert missing is None


def test_commands(answers: Dict[str, str], value: Dict[str, Any], said: Said) -> None:
    assert value["command"] == said["truth sym"]
    assert value["second argument"] is True
    assert value["unknown"] == "crash: command not found: no_such_command\n"
    assert value["no pager"] is True
    assert answers["fatal"] == (
        "crash.error: struct: invalid data structure reference: no_such_struct\n"
    )
    assert answers["usage"].startswith("crash.error: Usage:\n  kmem ")
    assert answers["empty"] == "crash.error: "
    assert answers["input file"].startswith("crash.error: ")
    assert answers["long line"].startswith("crash.error: ")


def test_registering(answers: Dict[str, str], value: Dict[str, Any]) -> None:
    assert value["commands"] is True
    assert answers["register late"].startswith("crash.error: ")


def test_the_error_is_an_exception_and_nothing_else(answers: Dict[str, str]) -> None:
    assert answers["error"] == (
        "(<class 'crash.error'>, <class 'Exception'>, <class 'BaseException'>, <class 'object'>)"
    )


def test_constants(answers: Dict[str, str], value: Dict[str, Any]) -> None:
    # crash's defs.h; CONFIG_HZ of Debian's kernels
    assert value["constants"] == (1, 2, 4, os.sysconf("SC_PAGE_SIZE"), 250)
    assert value["strings"] == ["str", "str", "str"]
    assert value["release"].split(".")[0] in ("8", "9")
    assert value["no writing"] == []


def test_the_interpreter_is_that_of_the_environment_and_of_no_variable(
    answers: Dict[str, str], value: Dict[str, Any]
) -> None:
    assert value["environment"] == sys.prefix
    assert value["isolated"] == (False, 1, 1)
    assert answers["input"] == "builtins.EOFError: EOF when reading a line"
