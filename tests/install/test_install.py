# SPDX-License-Identifier: GPL-3.0-or-later
"""What make install puts where, that it needs no network, and that uninstall takes it away."""

from __future__ import annotations

import os
import pathlib
from typing import Set

import pytest

from tests.install.machine import EXTENSIONS, TOP, Machine


@pytest.fixture(name="machine")
def fixture_machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def expected(extensions: pathlib.Path) -> Set[pathlib.Path]:
    scripts = [*(TOP / "crash_ext").rglob("*.py"), *(TOP / "crash_ext" / "batch").glob("*.*")]
    return {extensions / "pyextend.so", *(extensions / path.relative_to(TOP) for path in scripts)}


def test_installs_loader_and_package_and_nothing_else(machine: Machine) -> None:
    machine.install()
    assert machine.files() == expected(EXTENSIONS)


def test_prefix_moves_everything(machine: Machine) -> None:
    machine.install("PREFIX=/opt/crash")
    assert machine.files() == expected(pathlib.Path("opt/crash/lib/crash/extensions"))


def test_uninstall_leaves_what_was_there(machine: Machine) -> None:
    others = machine.root / EXTENSIONS
    others.mkdir(parents=True)
    for name in ("echo.so", "slabdup.py.orig", "pyextend.so.bak"):
        (others / name).write_text("somebody else's")
    before = machine.files()
    machine.install()
    assert machine.files() > before
    # As crash leaves it behind once the commands were used by root.
    cache = others / "crash_ext" / "__pycache__"
    cache.mkdir()
    (cache / "reader.cpython-311.pyc").write_bytes(b"")
    machine.uninstall()
    assert machine.files() == before


def test_uninstall_needs_no_install(machine: Machine) -> None:
    machine.uninstall()
    assert machine.files() == set()


def test_installed_twice_is_installed_once(machine: Machine) -> None:
    machine.install()
    first = machine.files()
    machine.install()
    assert machine.files() == first


def test_says_what_to_put_into_crashrc(machine: Machine) -> None:
    lines = [line.strip() for line in machine.install().splitlines()]
    assert lines[-2:] == ["extend pyextend.so", "extend slableak.py"]


def test_installed_loader_does_not_lean_on_the_sources(machine: Machine) -> None:
    machine.install()
    loader = (machine.root / EXTENSIONS / "pyextend.so").read_bytes()
    assert os.fsencode(machine.source / "build" / "venv") not in loader


def test_python_that_is_not_there_is_one_line(machine: Machine) -> None:
    done = machine.make("install", f"DESTDIR={machine.root}", "PYTHON=/no/such/python3")
    assert done.returncode != 0
    ours = [line for line in done.stdout.splitlines() if not line.startswith("make")]
    assert ours == ["python: /no/such/python3: not found"]
    assert machine.files() == set()


def test_missing_crash_headers_are_named(machine: Machine) -> None:
    done = machine.make("install", f"DESTDIR={machine.root}", "CRASH_INCLUDE=/no/such/dir")
    assert done.returncode != 0
    assert "no defs.h in /no/such/dir" in done.stdout
    assert machine.files() == set()
