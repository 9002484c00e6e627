# SPDX-License-Identifier: GPL-3.0-or-later
"""`make run`: crash gets the dump, and options of the user's own."""

from __future__ import annotations

import pathlib

from tests.install.machine import made


def test_options_for_crash_come_before_the_dump(tmp_path: pathlib.Path) -> None:
    crash = tmp_path / "crash"
    crash.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
    crash.chmod(0o755)
    loader = tmp_path / "pyextend.so"
    said = made(
        *("-s", "-o", str(loader), "run", f"BUILD={tmp_path}", f"CRASH={crash}"),
        *("ARGS=--no_modules -s", "VMLINUX=/a/vmlinux 1", "VMCORE=/a/vmcore"),
    )
    words = ["--no_modules", "-s", "-i", str(tmp_path / "run.crash"), "/a/vmlinux 1", "/a/vmcore"]
    assert said.splitlines() == [f"<{word}>" for word in words]
    assert (tmp_path / "run.crash").read_text().splitlines()[0] == f"extend {loader}"
