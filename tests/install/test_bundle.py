# SPDX-License-Identifier: GPL-3.0-or-later
"""make bundle: one file, and in a crash that has nothing else the commands work from it.

The folder that crash runs in holds the bundle alone; the sources that it was made from are
gone, and no installed copy is reachable.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import zipfile
from typing import List

import pytest

from tests.install.machine import TOP, Machine
from tests.lab.dumps import dump
from tests.lab.indexed import indexed
from tests.loader.builds import compile_command

COMMANDS = "slabdup slabobjs"


class Desk:
    """An otherwise empty folder with the bundle in it, to run crash in."""

    def __init__(self, folder: pathlib.Path, bundle: pathlib.Path) -> None:
        folder.mkdir()
        self.folder = folder
        shutil.copy(bundle, folder / "slableak.so")
        self.script = f"{folder}/slableak.so/crash_ext/slableak.py"
        self.specimen = dump("6.1", "leak")

    def crash(self, lines: List[str], **environment: str) -> List[str]:
        """What crash says to each line: its own lines of output, in one string."""
        compile_command(self.folder / "mark.so", "mark")
        told = ["extend ./mark.so"]
        for number, line in enumerate(lines):
            told += [f"mark {number}", line]
        said = self.run([*told, "mark end"], **environment)
        parts = said.split("mark: <")
        assert len(parts) == len(lines) + 2, said
        return [part.partition(">\n")[2] for part in parts[1:-1]]

    def run(self, lines: List[str], *options: str, **environment: str) -> str:
        """All that crash says to the lines."""
        (self.folder / "lines").write_text("\n".join([*lines, "quit", ""]))
        own = {key: value for key, value in os.environ.items() if not key.startswith("PY")}
        done = subprocess.run(
            [
                *("crash", "-s", *options, "-i", "lines"),
                *(str(indexed(self.specimen, "8.0.2")), str(self.specimen.vmcore)),
            ],
            cwd=str(self.folder),
            env={**own, "HOME": str(self.folder), "TERM": "dumb", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    def addresses(self) -> List[str]:
        rows = self.specimen.truth["objects"]["slab_test"]["leftover"]["leaked"]
        return [row["addr"] for row in rows]


@pytest.fixture(scope="module", name="bundle")
def fixture_bundle(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Made without a network and without an environment of Python packages."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    done = machine.make("bundle")
    assert done.returncode == 0, done.stdout
    assert not (machine.source / "build" / "venv").exists()
    bundle = machine.source.parent / "slableak.so"
    (machine.source / "build" / "slableak.so").rename(bundle)
    shutil.rmtree(machine.source)
    return bundle


@pytest.fixture(name="desk")
def fixture_desk(bundle: pathlib.Path, tmp_path: pathlib.Path) -> Desk:
    return Desk(tmp_path / "desk", bundle)


def test_it_carries_every_module_that_runs_in_crash(bundle: pathlib.Path) -> None:
    modules = {
        str(path.relative_to(TOP))
        for path in (TOP / "crash_ext").rglob("*.py")
        if path.parent.name != "batch"
    }
    with zipfile.ZipFile(bundle) as archive:
        assert set(archive.namelist()) == modules | {f"{name}c" for name in modules}
        assert (
            archive.read("crash_ext/slableak.py")
            == (TOP / "crash_ext" / "slableak.py").read_bytes()
        )
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_it_alone_is_enough_and_comes_and_goes(desk: Desk) -> None:
    addresses = desk.addresses()
    (desk.folder / "addresses").write_text("".join(f"{one}\n" for one in addresses))
    said = desk.crash(
        [
            *("extend slableak.so", "extend", "slabdup", "slabobjs -q < addresses"),
            *("extend slableak.so", "help slabobjs", "extend -u slableak.so", "extend", "slabdup"),
            *("extend slableak.so", "slabobjs -j nosuch"),
        ]
    )
    loaded, listed, slabdup, quiet, again, page, gone, empty, unknown, back, problem = said
    assert loaded.splitlines() == [
        f"{desk.script}: script loaded",
        "./slableak.so: shared object loaded",
    ]
    assert f"{desk.script}  {COMMANDS}" in listed
    assert slabdup.count(" slab_test\n") == 2
    assert quiet.split() == addresses
    assert again == "./slableak.so: shared object already loaded\n"
    assert page.startswith("\nNAME\n  slabobjs - ")
    assert gone.splitlines() == [
        f"{desk.script}: script unloaded",
        "./slableak.so: shared object unloaded",
    ]
    assert "slableak" not in empty
    assert unknown == "crash: command not found: slabdup\n"
    assert f"{desk.script}: script loaded" in back
    assert [line[:13] for line in problem.splitlines()] == [
        '{"type":"begi',
        '{"type":"prob',
        '{"type":"end"',
    ]


def test_from_crashrc_and_by_variable_and_by_option_x(desk: Desk) -> None:
    lib = desk.folder / "lib"
    lib.mkdir()
    (desk.folder / "slableak.so").rename(lib / "slableak.so")
    (desk.folder / ".crashrc").write_text("extend slableak.so\n")
    (said,) = desk.crash(["slabdup"], CRASH_EXTENSIONS=str(lib))
    assert said.count(" slab_test\n") == 2
    (desk.folder / ".crashrc").unlink()
    listed, said = desk.run(
        ["slabdup", "extend -u", "slabdup", "p 6 * 7"], "-x", CRASH_EXTENSIONS=str(lib)
    ).split(": script unloaded\n")
    assert listed.count(" slab_test\n") == 2
    assert said.splitlines()[:2] == [
        f"{lib}/slableak.so: shared object unloaded",
        "crash: command not found: slabdup",
    ]
    assert said.endswith(" = 42\n")


def test_beside_the_loader_it_stays_out_in_one_line(desk: Desk) -> None:
    shutil.copy(TOP / "build" / "pyextend.so", desk.folder)
    refused = "extend: another extension has taken over `extend`: another pyextend.so"
    other, ours, scripts, both, slabdup = desk.crash(
        [
            *("extend pyextend.so", "extend slableak.so", f"extend {TOP}/crash_ext/slableak.py"),
            *("extend slableak.so", "slabdup"),
        ]
    )
    assert other == "./pyextend.so: shared object loaded\n"
    assert ours.startswith(refused)
    assert ours.splitlines()[1].startswith("extend: ./slableak.so: no commands registered")
    assert scripts.endswith(": script loaded\n")
    assert both == ours
    assert slabdup.count(" slab_test\n") == 2
    ours, other, slabdup = desk.crash(["extend slableak.so", "extend pyextend.so", "slabdup"])
    assert ours.splitlines()[0] == f"{desk.script}: script loaded"
    assert other.startswith(refused)
    assert slabdup.count(" slab_test\n") == 2


def test_where_pykdump_is_it_says_what_to_use(desk: Desk) -> None:
    compile_command(desk.folder / "epython.so", "epython")
    _, said, listed = desk.crash(["extend epython.so", "extend slableak.so", "extend"])
    assert 'with it, use "epython slableak.py"' in said.splitlines()[0]
    assert said.count("\n") == 2
    assert "slableak" not in listed


def test_minimal_crash_refuses_it_in_crash_s_own_words(desk: Desk) -> None:
    """crash then knows neither memory map nor types; our commands are nothing without."""
    said = desk.run(["extend slableak.so", "slabdup", "sym slab_caches"], "--minimal")
    assert "does not contain any commands which support minimal mode\n" in said
    assert "script loaded" not in said
    assert "crash: slabdup: command not available in minimal mode\n" in said
    assert said.endswith(" slab_caches\n")
