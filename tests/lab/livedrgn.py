# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `slableak -k` on a running kernel: drgn inside the virtual machine, no crash.

The Python that runs the tests travels in the initramfs, with drgn, vmlinux and the commands.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Iterable, Iterator, List, Sequence, Set

import drgn

from .live import LEFT_OUT, MARK, Host, Session, run_in_guest


def run_live_on_drgn(kernel: str, lines: Sequence[str]) -> Session:
    """`slableak -k` with each command line, and its exit status as the last line."""
    environment = "PATH=/bin PYTHONHOME=/python PYTHONPATH=/ PYTHONDONTWRITEBYTECODE=1"
    return run_in_guest(kernel, lines, Host(environment, "", "sh /lines", _fill))


def _fill(tree: Path, lines: Sequence[str]) -> None:
    _copy_python(tree)
    run = "/bin/python -m crash_ext.drgnprogram -s /vmlinux -k"
    script = []
    for number, line in enumerate(lines):
        # To a file first: on the serial line, a terminal, progress would be among it.
        script += [f"{run} {line} > /tmp/{number} 2>&1", "status=$?"]
        script += [f"echo {MARK}{number}; cat /tmp/{number}; echo status $status"]
    (tree / "lines").write_text("\n".join([*script, ""]))


def _copy_python(tree: Path) -> None:
    """This Python, its library without packages, and drgn, with the shared objects they need."""
    library = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns(
        "test", "__pycache__", "config-*", "idlelib", "tkinter", "*-packages", "*.a"
    )
    target = tree / "python/lib" / library.name
    shutil.copytree(library, target, ignore=left_out, ignore_dangling_symlinks=True)
    packages = Path(drgn.__file__).parents[1]
    for name in ("drgn", "_drgn_util", "drgn.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, tree / name, ignore=LEFT_OUT)
    extension = next(packages.glob("_drgn.*.so"))
    shutil.copy(extension, tree)
    shutil.copy(Path(sys.executable).resolve(), tree / "bin/python")
    programs = [Path(sys.executable).resolve(), extension, *library.glob("lib-dynload/*.so")]
    programs += (packages / "drgn.libs").glob("*") if (packages / "drgn.libs").exists() else []
    for path in _libraries(programs):
        copy = tree / str(path).lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), copy)


def _libraries(programs: Iterable[Path]) -> Iterator[Path]:
    seen: Set[str] = set()
    for program in programs:
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
        found: List[str] = re.findall(r"(/\S+) \(0x", listed)
        for name in found:
            if name not in seen and "drgn.libs" not in name:
                seen.add(name)
                yield Path(name)
