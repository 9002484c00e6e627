# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader carries the release of the crash that it was built for."""

from __future__ import annotations

import pathlib

from tests.install.machine import EXTENSIONS, Machine


def crash_of_release(where: pathlib.Path, release: str) -> str:
    """A program that answers -v as crash does; make's CRASH= for it."""
    program = where / f"crash-{release}"
    program.write_text(f"#!/bin/sh\nprintf '\\ncrash {release}\\nCopyright (C)\\n'\n")
    program.chmod(0o755)
    return f"CRASH={program}"


def test_loader_is_built_anew_for_another_crash(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path)
    loader = machine.root / EXTENSIONS / "pyextend.so"
    first, second = (crash_of_release(tmp_path, release) for release in ("5.6.7", "5.6.8-1.el9"))
    machine.install(first)
    assert b"\x005.6.7\x00" in loader.read_bytes()
    said = machine.install(first)
    assert "-shared" not in said, "it was built again for the same crash"
    machine.install(second)
    assert b"\x005.6.8-1.el9\x00" in loader.read_bytes()


def test_crash_that_is_not_there_leaves_the_release_out(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path)
    done = machine.make("build/crash.env", "CRASH=/no/such/crash")
    assert (done.returncode, done.stdout) == (
        0,
        "crash: /no/such/crash does not tell its release\n",
    )
    assert (machine.source / "build" / "crash.env").read_text() == "CRASH_CFLAGS=\n"
