# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `slableak -k` on a running kernel: drgn inside the virtual machine, no crash.

The Python that runs the tests travels in the initramfs, with drgn, vmlinux and the commands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence, Set

import drgn

from . import cache
from .guest import DONE_MARK, LOG_MARK, GuestFailed
from .kernels import KERNELS, Files, fetch
from .live import _LEFT_OUT, SECONDS, Session, _boot, _pack
from .module import build_module
from .session import SLABLEAK
from .truth import parse

_MARK = "===line "
_APPLETS = "sh mount stty insmod cat echo ls true poweroff".split()
_INIT = f"""#!/bin/sh
export PATH=/bin HOME=/root TERM=dumb PYTHONHOME=/python PYTHONPATH=/ PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
insmod /qemu_fw_cfg.ko
insmod /slabtest.ko scenario=leak
cat /proc/slabtest > /dev/ttyS1
echo {LOG_MARK} > /dev/ttyS1
(while :; do cat /proc/mounts; ls -l /sys/kernel; done) > /dev/null 2>&1 &
sh /lines > /dev/ttyS1 2>&1 < /dev/null
echo {DONE_MARK} > /dev/ttyS1
poweroff -f
"""


def run_live_on_drgn(kernel: str, lines: Sequence[str]) -> Session:
    """`slableak -k` with each command line, and its exit status as the last line."""
    row = KERNELS[kernel]
    files = fetch(row)
    module = build_module(row, files)
    with tempfile.TemporaryDirectory(prefix="slableak-live-", dir=cache.root()) as name:
        folder = Path(name)
        tree = folder / "tree"
        _fill(tree, files, module, lines)
        text = _boot(files, _pack(tree, folder), folder)
    account, _, rest = text.partition(LOG_MARK + "\n")
    if DONE_MARK not in rest:
        raise GuestFailed(f"drgn isn't done after {SECONDS} s:\n{rest[-2000:]}")
    parts = re.split(rf"(?m)^{_MARK}(\d+)\n", rest.partition(DONE_MARK)[0])
    said: Dict[str, str] = {
        lines[int(number)]: part for number, part in zip(parts[1::2], parts[2::2])
    }
    return Session(parse(account), said)


def _fill(tree: Path, files: Files, module: Path, lines: Sequence[str]) -> None:
    for name in ("bin", "dev", "proc", "sys", "tmp", "root", "python/lib"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        raise GuestFailed("no busybox on this machine (packages.txt)")
    shutil.copy(busybox, tree / "bin/busybox")
    for name in _APPLETS:
        (tree / "bin" / name).symlink_to("busybox")
    for path in (files.fw_cfg, module):
        shutil.copy(path, tree)
    os.link(files.vmlinux, tree / "vmlinux")
    shutil.copytree(SLABLEAK.parent, tree / "crash_ext", ignore=_LEFT_OUT)
    _copy_python(tree)
    run = "/bin/python -m crash_ext.drgnprogram -s /vmlinux -k"
    script = []
    for number, line in enumerate(lines):
        # To a file first: on the serial line, a terminal, progress would be among it.
        script += [f"{run} {line} > /tmp/{number} 2>&1", "status=$?"]
        script += [f"echo {_MARK}{number}; cat /tmp/{number}; echo status $status"]
    (tree / "lines").write_text("\n".join([*script, ""]))
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)


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
            shutil.copytree(packages / name, tree / name, ignore=_LEFT_OUT)
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
