# SPDX-License-Identifier: GPL-3.0-or-later
"""What was installed works in crash when the sources it came from are gone."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import List

import pytest

from tests.install.machine import EXTENSIONS, Machine
from tests.lab.dumps import Dump, dump

CRASHRC = "extend pyextend.so\nextend slableak.py\n"
"""What install says belongs into ~/.crashrc."""

BIND = 'mkdir -p "$0" && mount --bind "$1" "$0" && shift && exec "$@"'


@pytest.fixture(name="extensions", scope="module")
def fixture_extensions(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where they were installed; the sources are gone."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.install()
    shutil.rmtree(machine.source)
    return machine.root / EXTENSIONS


@pytest.fixture(name="specimen", scope="module")
def fixture_specimen() -> Dump:
    return dump("6.1", "leak")


def crash(home: pathlib.Path, command: List[str], lines: str, **environment: str) -> str:
    """What crash says, started in an empty home."""
    done = subprocess.run(
        command,
        cwd=str(home),
        env={**os.environ, "HOME": str(home), "TERM": "dumb", **environment},
        input=f"{lines}\nquit\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def found(specimen: Dump, said: str) -> bool:
    caches = specimen.truth["caches"]["slab_test"]
    return all(caches[role]["kmem_cache"] in said for role in ("live", "leftover"))


def test_by_crashrc_and_variable(
    extensions: pathlib.Path, specimen: Dump, tmp_path: pathlib.Path
) -> None:
    (tmp_path / ".crashrc").write_text(CRASHRC)
    command = ["crash", "-s", str(specimen.vmlinux), str(specimen.vmcore)]
    said = crash(tmp_path, command, "slabdup slab_test", CRASH_EXTENSIONS=str(extensions))
    assert found(specimen, said), said


def test_by_crashrc_from_the_system_s_directory(
    extensions: pathlib.Path, specimen: Dump, tmp_path: pathlib.Path
) -> None:
    (tmp_path / ".crashrc").write_text(CRASHRC)
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [
        *("unshare", "--mount", *as_root, "sh", "-c", BIND, f"/{EXTENSIONS}", str(extensions)),
        *("crash", "-s", str(specimen.vmlinux), str(specimen.vmcore)),
    ]
    said = crash(tmp_path, command, "slabdup slab_test")
    assert f"/{EXTENSIONS}/crash_ext/slableak.py: script loaded" in said
    assert found(specimen, said), said


def test_by_option_x_and_a_line_of_its_own(
    extensions: pathlib.Path, specimen: Dump, tmp_path: pathlib.Path
) -> None:
    command = ["crash", "-s", "-x", str(specimen.vmlinux), str(specimen.vmcore)]
    lines = "extend slableak.py\nslabdup slab_test"
    said = crash(tmp_path, command, lines, CRASH_EXTENSIONS=str(extensions))
    assert "pyextend.so: shared object loaded" in said
    assert found(specimen, said), said


def test_a_minimal_crash_refuses_the_loader_and_goes_on(
    extensions: pathlib.Path, specimen: Dump, tmp_path: pathlib.Path
) -> None:
    command = ["crash", "-s", "--minimal", str(specimen.vmlinux), str(specimen.vmcore)]
    lines = "extend pyextend.so\nextend slableak.py\nsym slab_caches"
    said = crash(tmp_path, command, lines, CRASH_EXTENSIONS=str(extensions))
    assert "pyextend.so: does not contain any commands which support minimal mode" in said
    assert "script loaded" not in said
    assert "slab_caches\n" in said
