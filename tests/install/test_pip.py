# SPDX-License-Identifier: GPL-3.0-or-later
"""`pip install .`: the package, the program, the plugin and the loops in C, from one wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict, List

import pytest

from crash_ext.commands import COMMANDS
from crash_ext.version import TOOL_VERSION
from tests.install.machine import TOP, Machine, environment


def pip(arguments: List[str], more: Dict[str, str], folder: Path) -> str:
    """What it says. No network: what builds the package is in the tests' environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--no-build-isolation", "--no-deps"],
        cwd=folder,
        env={**environment(), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def wheel(where: Path, **more: str) -> zipfile.ZipFile:
    source = Machine(where).source
    pip(["wheel", ".", "-w", str(where / "wheels")], more, source)
    (made,) = (where / "wheels").glob("slableak-*.whl")
    return zipfile.ZipFile(made)


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module", name="installed")
def fixture_installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("pip")
    target = where / "target"
    with wheel(where) as made:
        pip(["install", "--target", str(target), str(made.filename)], {}, where)
    return target


def test_the_wheel_carries_the_package_its_data_and_the_loops(tmp_path: Path) -> None:
    with wheel(tmp_path) as made:
        names = set(made.namelist())
    package = TOP / "crash_ext"
    files = [*package.rglob("*.py"), *(package / "batch").glob("*.*")]
    assert {str(path.relative_to(TOP)) for path in files} <= names
    loops = [name for name in names if name.startswith("_slableak.")]
    assert len(loops) == 1
    assert not any(name.startswith(("tests", "mocks")) for name in names)


def test_without_a_compiler_the_wheel_lacks_the_loops_and_nothing_else(tmp_path: Path) -> None:
    with wheel(tmp_path, CC="/nonexistent/cc") as made:
        names = made.namelist()
    assert not any(name.startswith("_slableak.") for name in names)
    assert "crash_ext/slabwhy.py" in names


def test_the_program_is_there(installed: Path) -> None:
    done = run(installed, str(installed / "bin" / "slableak"), "-V")
    assert (done.returncode, done.stdout) == (0, f"slableak {TOOL_VERSION}\n")


def test_the_loops_are_those_that_the_commands_use(installed: Path) -> None:
    line = "from crash_ext.host.native import native_loops; print(native_loops().__file__)"
    done = run(installed, "-c", line)
    assert Path(done.stdout.strip()).parent == installed, done.stdout


def test_drgn_finds_the_plugin(installed: Path) -> None:
    """Its shell has the commands for any kernel's program."""
    line = (
        "import drgn\n"
        "from drgn.commands import DEFAULT_COMMAND_NAMESPACE as names\n"
        "from _drgn_util.plugins import call_plugins\n"
        "call_plugins('drgn_prog_set', drgn.Program())\n"
        "print(*(name for name, _ in names._commands.items()))\n"
    )
    assert set(COMMANDS) < set(run(installed, "-c", line).stdout.split())
