# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo` on somebody else's machine: what it hasn't got is said at once, in one line."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import List

import pytest

from tests.install.machine import TOP, environment, made
from tests.lab.demo import main


def demo(where: pathlib.Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """The demo with an empty cache, and with these programs in place of the machine's."""
    (where / "bin").mkdir()
    for name, script in programs.items():
        path = where / "bin" / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "tests.lab.demo", "crash", "pyextend.so"],
        cwd=str(TOP),
        env={
            **environment(),
            "SLABLEAK_CACHE": str(where / "cache"),
            "PATH": f"{where / 'bin'}{os.pathsep}{os.environ['PATH']}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_an_ordinary_user_is_told_what_root_is_needed_for_before_anything_is_fetched(
    tmp_path: pathlib.Path,
) -> None:
    done = demo(
        tmp_path,
        unshare="echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1",
        apt_get=f"touch {tmp_path}/fetched",
    )
    assert done.returncode == 1
    assert done.stderr == (
        "demo: needs root, or user namespaces that may mount:"
        " unshare: unshare failed: Operation not permitted\n"
    )
    assert not (tmp_path / "fetched").exists()


def test_what_is_done_is_said_by_the_program_that_does_it_and_so_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For who isn't root a second one takes over, in a user namespace."""

    class Replaced(Exception):
        """What exec does to the first one."""

    def replace(program: str, words: List[str]) -> None:
        raise Replaced(program)

    monkeypatch.setenv("SLABLEAK_CACHE", str(tmp_path))
    monkeypatch.setattr("tests.lab.demo.check", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "execvp", replace)
    with pytest.raises(Replaced, match="unshare"):
        main("crash", "pyextend.so")
    assert capsys.readouterr() == ("", "")


def test_without_a_network_it_says_so_in_one_line(tmp_path: pathlib.Path) -> None:
    script = "echo 'E: Failed to fetch X' >&2; echo 'E: Some index files failed' >&2; exit 100"
    done = demo(tmp_path, unshare="", apt_get=script)
    assert done.returncode == 1
    assert done.stderr == (
        "demo: bookworm: apt-get update --error-on=any:"
        " E: Failed to fetch X E: Some index files failed\n"
    )


def test_the_demo_installs_no_browser(tmp_path: pathlib.Path) -> None:
    said = made("-n", "demo", f"BUILD={tmp_path}")
    assert ".ci/packages crash " in said
    assert "chromium" not in said
