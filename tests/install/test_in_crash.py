# SPDX-License-Identifier: GPL-3.0-or-later
"""What was installed works in crash when the sources it came from are gone."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

from tests.install.machine import EXTENSIONS, Machine
from tests.lab.dumps import dump


def test_commands_work_from_where_crash_looks(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path)
    machine.install()
    shutil.rmtree(machine.source)
    home = tmp_path / "home"
    home.mkdir()
    # What install says belongs into ~/.crashrc.
    (home / ".crashrc").write_text("extend pyextend.so\nextend slableak.py\n")
    specimen = dump("6.1", "leak")
    done = subprocess.run(
        ["crash", "-s", str(specimen.vmlinux), str(specimen.vmcore)],
        cwd=str(home),
        env={
            **os.environ,
            "HOME": str(home),
            "CRASH_EXTENSIONS": str(machine.root / EXTENSIONS),
        },
        input="slabdup slab_test\nquit\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    caches = specimen.truth["caches"]["slab_test"]
    for role in ("live", "leftover"):
        assert caches[role]["kmem_cache"] in done.stdout, done.stdout
