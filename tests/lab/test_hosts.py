# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader in every crash, with the Python of its Debian release: coming, going, refusing.

What the commands answer there is the matrix' matter (test_matrix.py); here it is that they
answer the same after each coming and going.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from tests import lab
from tests.lab.crashes import RELEASES
from tests.lab.session import SLABLEAK, records

SPECIMENS = {"7.2.9": "5.10", "8.0.2": "6.1", "8.0.6": "6.12", "9.0.2": "7.3"}
"""Crash -> the newest kernel that no older one opens, or the only one."""

OTHERS = {"7.2.9": "8.0.6", "8.0.2": "7.2.9", "8.0.6": "9.0.2", "9.0.2": "8.0.6"}
"""Crash -> one with other structs, whose headers no system has in the place of its own.
(Those of 8.0.2 and 8.0.6 that count are the same.)"""

HOST = SLABLEAK.parent / "host"


def built_with_headers_of(other: str, version: str, out: Path, options: str = "") -> Path:
    """A loader that can be loaded into `version`, but was compiled for `other`."""
    this = lab.crash(version)
    sources = " ".join(str(path) for path in sorted(HOST.glob("*.c")))
    line = (
        f"gcc -std=gnu11 -fPIC -shared -w $(python3-config --includes) -DX86_64 {options}"
        f" -I {lab.crash(other).include} -o {out} {sources} $(python3-config --ldflags --embed)"
    )
    command = this.command(["sh", "-c", line], [out.parent])
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_every_release_has_a_specimen() -> None:
    assert set(SPECIMENS) == set(RELEASES)
    assert all(version in lab.crashes_for(kernel) for version, kernel in SPECIMENS.items())


@pytest.mark.parametrize("version", RELEASES)
def test_it_comes_and_goes_and_answers_the_same(version: str, tmp_path: Path) -> None:
    this, loader = lab.crash(version), lab.build_loader(version)
    specimen = lab.dump(SPECIMENS[version], "leak" if version == "8.0.2" else "all")
    (tmp_path / "which.py").write_text(
        "import sys\nprint('Python', '.'.join(map(str, sys.version_info[:3])))\n"
    )
    (tmp_path / "addresses").write_text("".join(f"{one}\n" for one in leaked(specimen)))
    wrong = built_with_headers_of(OTHERS[version], version, tmp_path / "wrong.so")
    texts = {name: tmp_path / name for name in ("dup", "objs", "file", "again", "woken")}
    said = this.run(
        specimen.vmlinux,
        specimen.vmcore,
        [
            f"extend {wrong}",
            f"extend {loader} {SLABLEAK}",
            f"extend {tmp_path}/which.py",
            f"slabdup -j slab_test > {texts['dup']}",
            f"slabobjs -q slab_test > {texts['objs']}",
            f"slabobjs -q < {tmp_path}/addresses > {texts['file']}",
            *(f"extend {loader}", f"extend {SLABLEAK}"),
            "extend -u slableak.py",
            "slabdup is no command now",
            f"extend {SLABLEAK}",
            f"slabobjs -q slab_test > {texts['again']}",
            "extend -u pyextend.so",
            "slabobjs is no command now",
            f"extend {loader}",
            f"extend {SLABLEAK}",
            f"slabobjs -q slab_test > {texts['woken']}",
        ],
        args=lab.options_for(specimen.kernel, version),
    )
    refused = [line for line in said.splitlines() if "built for another crash" in line]
    assert len(refused) == 1, said
    assert refused[0].endswith(": build it again")
    own = subprocess.run(this.command(["python3", "-V"]), capture_output=True, text=True).stdout
    assert own in said
    assert said.count(f"{SLABLEAK}: script loaded\n") == 3
    assert said.count(f"{SLABLEAK}: script already loaded\n") == 1
    assert said.count(f"{SLABLEAK}: script unloaded\n") == 2
    assert said.count("pyextend.so: shared object loaded\n") == 2
    assert said.count("pyextend.so: shared object already loaded\n") == 1
    assert said.count("pyextend.so: shared object unloaded\n") == 1
    assert said.count("command not found: slabdup\n") == 1
    assert said.count("command not found: slabobjs\n") == 1
    end = records(texts["dup"].read_text())[-1]
    assert (end["type"], end["complete"], end["caches"]) == ("end", True, 2)
    objects = texts["objs"].read_text()
    assert set(leaked(specimen)) < set(objects.split())
    assert texts["file"].read_text().split() == leaked(specimen)
    assert texts["again"].read_text() == texts["woken"].read_text() == objects


def leaked(specimen: lab.Dump) -> List[str]:
    """The addresses that the module has lost in its leftover slab_test."""
    return [row["addr"] for row in specimen.truth["objects"]["slab_test"]["leftover"]["leaked"]]


@pytest.mark.parametrize("version", ["7.2.9", "9.0.2"])
def test_the_bundle_works_with_the_oldest_and_the_newest(version: str, tmp_path: Path) -> None:
    """Appended by another Python than the one that runs it: that takes the sources."""
    bundle = tmp_path / "slableak.so"
    built_with_headers_of(version, version, bundle, "-DPYEXTEND_BUNDLE")
    top = SLABLEAK.parents[1]
    modules = [str(path.relative_to(top)) for path in SLABLEAK.parent.rglob("*.py")]
    append = [sys.executable, ".ci/bundle", str(bundle), *modules]
    subprocess.run(append, check=True, cwd=top)
    specimen = lab.dump(SPECIMENS[version], "all")
    said = lab.crash(version).run(
        specimen.vmlinux,
        specimen.vmcore,
        [f"extend {bundle}", f"slabobjs -q {' '.join(leaked(specimen))}"],
        args=lab.options_for(specimen.kernel, version),
    )
    assert f"{bundle}/crash_ext/slableak.py: script loaded\n" in said
    assert said.splitlines()[-len(leaked(specimen)) :] == leaked(specimen)
