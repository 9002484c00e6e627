# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops in C are used where they are, and missed nowhere."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from crash_ext.host.native import VERSION, native_loops
from tests.native import native_module


def _module(version: int) -> ModuleType:
    module = ModuleType("_slableak")
    vars(module)["VERSION"] = version
    return module


def test_a_host_without_them_runs_the_python_code(monkeypatch: pytest.MonkeyPatch) -> None:
    # None makes an import fail; another test may have left the module there.
    monkeypatch.setitem(sys.modules, "_slableak", None)
    assert native_loops() is None


def test_a_loader_that_has_them_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _module(VERSION)
    monkeypatch.setitem(sys.modules, "_slableak", module)
    assert native_loops() is module


def test_a_loader_of_another_time_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_slableak", _module(VERSION + 1))
    assert native_loops() is None


def test_the_environment_can_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_slableak", _module(VERSION))
    monkeypatch.setenv("SLABLEAK_PURE", "1")
    assert native_loops() is None


def test_source_and_commands_are_of_the_same_version() -> None:
    assert vars(native_module())["VERSION"] == VERSION


def test_nonsense_is_refused_not_followed() -> None:
    """Damaged numbers come in as they are."""
    states = native_module().states
    huge = 2**64 - 1
    memory = bytes(4096)
    assert states(0, 8, 0, 0, 0, 0, memory, 0, 8, 1) is None
    assert states(8, huge, 0, 0, 0, 0, memory, 0, 8, 1) is None
    assert states(8, 512, 8, 0, 0, 0, memory, 0, 8, 1) is None
    assert states(huge, 2, 0, 0, 0, 0, memory, 0, 8, 1) is None
    assert states(8, 2, huge, 0, 0, 0, memory, 0, 8, 1) is None
    assert states(8, 2, 0, huge, 0, 0, memory, 0, 8, 1) is None
    # Every object is free, and the list goes on: a million steps end at the second.
    assert states(8, 512, 0, 0, 0, 0, memory, 1 << 40, 1 << 40, 10**6) is None
    contents = native_module().contents
    for shift, size, length in ((4090, 8, 8), (0, huge, 8), (huge, 8, 8), (0, 8, huge)):
        assert contents(memory, 0, shift, size, length, b"\1\1", "[", "]", 8, True) is None
    assert contents(memory, 0, 0, 8, 8, b"\1\1", "[", "]", 3, True) is None
