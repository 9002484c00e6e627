# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands on a running kernel: their host inside the virtual machine, on /proc/kcore.

Here that is crash; livedrgn.py has the other. crash, its libraries, Python and vmlinux with debug
information all travel in the initramfs: so no disk, and 3 GB of memory. crash 8.0.2 dies there at
its start ("cannot set context for pid"); 9.0.2 takes some 40 s under emulation.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence

from . import cache
from .crashes import Crash, build_loader, crash
from .guest import DONE_MARK, LOG_MARK, GuestFailed
from .kernels import KERNELS, Files, fetch
from .module import build_module
from .session import SLABLEAK
from .truth import Truth, parse

VERSION = "9.0.2"
SECONDS = 400
MARK = "===line "
"""Begins the line before what a command line has printed; its number follows."""
LEFT_OUT = shutil.ignore_patterns("test", "__pycache__", "config-*", "idlelib", "tkinter")


class Host(NamedTuple):
    """What runs the commands in the machine."""

    environment: str
    """Variables of the shell that starts it."""
    applets: str
    """Of busybox, beside those that every machine here has."""
    start: str
    """The command line that goes through /lines."""
    fill: Callable[[Path, Sequence[str]], None]
    """Puts it into the machine's tree, and /lines for these command lines."""


class Session(NamedTuple):
    """What was said in the machine."""

    truth: Truth
    said: Dict[str, str]
    """By command line."""


def run_live(kernel: str, lines: Sequence[str]) -> Session:
    """The command lines in crash on that kernel at work. Raises as run_in_guest() does."""
    start = "crash -s --no_crashrc -i /lines /vmlinux"
    return run_in_guest(kernel, lines, Host("PATH=/bin:/usr/bin", "uname", start, _fill))


def run_in_guest(kernel: str, lines: Sequence[str], host: Host) -> Session:
    """The command lines on that kernel at work. Raises GuestFailed, and what fetch() does."""
    row = KERNELS[kernel]
    files = fetch(row)
    module = build_module(row, files)
    with tempfile.TemporaryDirectory(prefix="slableak-live-", dir=cache.root()) as name:
        folder = Path(name)
        tree = folder / "tree"
        _furnish(tree, files, module, host)
        host.fill(tree, lines)
        text = _boot(files, _pack(tree, folder), folder)
    account, _, rest = text.partition(LOG_MARK + "\n")
    if DONE_MARK not in rest:
        raise GuestFailed(f"the commands aren't done after {SECONDS} s:\n{rest[-2000:]}")
    parts = re.split(rf"(?m)^.*{MARK}(\d+)\n", rest.partition(DONE_MARK)[0])
    said = {lines[int(number)]: part for number, part in zip(parts[1::2], parts[2::2])}
    if len(said) != len(lines):
        raise GuestFailed(f"not every line was run:\n{rest[:2000]}")
    return Session(parse(account), said)


def _furnish(tree: Path, files: Files, module: Path, host: Host) -> None:
    """A machine's tree with busybox, the module, vmlinux and what starts the host."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "root"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        raise GuestFailed("no busybox on this machine (packages.txt)")
    shutil.copy(busybox, tree / "bin/busybox")
    for name in ["sh", "mount", "stty", "insmod", "cat", "echo", "ls", "true", "poweroff"]:
        (tree / "bin" / name).symlink_to("busybox")
    for name in host.applets.split():
        (tree / "bin" / name).symlink_to("busybox")
    for path in (files.fw_cfg, module):
        shutil.copy(path, tree)
    os.link(files.vmlinux, tree / "vmlinux")
    shutil.copytree(SLABLEAK.parent, tree / "crash_ext", ignore=LEFT_OUT)
    (tree / "init").write_text(_init(host))
    (tree / "init").chmod(0o755)


def _init(host: Host) -> str:
    # Processes come and go while the host reads.
    return f"""#!/bin/sh
export HOME=/root TERM=dumb {host.environment}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
insmod /qemu_fw_cfg.ko
insmod /slabtest.ko scenario=leak
cat /proc/slabtest > /dev/ttyS1
echo {LOG_MARK} > /dev/ttyS1
(while :; do cat /proc/mounts; ls -l /sys/kernel; done) > /dev/null 2>&1 &
{host.start} > /dev/ttyS1 2>&1 < /dev/null
echo {DONE_MARK} > /dev/ttyS1
poweroff -f
"""


def _fill(tree: Path, lines: Sequence[str]) -> None:
    for name in ("bin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
    for name in ("lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    # crash looks for the kernel's version with it.
    (tree / "usr/bin/strings").symlink_to("/bin/busybox")
    loader = build_loader(VERSION)
    _copy_programs(crash(VERSION), loader, tree)
    script = [f"extend {loader}", f"extend /crash_ext/{SLABLEAK.name}"]
    for number, line in enumerate(lines):
        # To a file first: on the serial line, a terminal, progress would be among it.
        script += [f"{line} > /tmp/{number}", f"!echo {MARK}{number}; cat /tmp/{number}"]
    (tree / "lines").write_text("\n".join([*script, "quit", ""]))


def _copy_programs(this: Crash, loader: Path, tree: Path) -> None:
    """crash, the loader and Python's library, with the shared objects that they need."""
    root = this.root
    assert root, "that release of crash lives in a tree of its own"
    python = next((root / "usr/lib").glob("python3.*"))
    shutil.copytree(
        python, tree / "usr/lib" / python.name, ignore=LEFT_OUT, ignore_dangling_symlinks=True
    )
    loaded = [Path("/") / path.relative_to(root) for path in python.glob("lib-dynload/*.so")]
    wanted = ["/usr/bin/crash", "/usr/bin/python3", "/lib64/ld-linux-x86-64.so.2"]
    for program in (Path("/usr/bin/crash"), loader, *loaded):
        wanted += _libraries(this, program)
    for name in dict.fromkeys(wanted):
        real = subprocess.run(
            this.command(["realpath", name]), check=True, capture_output=True, text=True
        ).stdout.strip()
        target = tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / real.lstrip("/"), target)
    target = tree / str(loader).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(loader, target)


def _libraries(this: Crash, program: Path) -> Iterator[str]:
    listed = subprocess.run(
        this.command(["/lib64/ld-linux-x86-64.so.2", "--list", str(program)]),
        capture_output=True,
        text=True,
    ).stdout
    yield from re.findall(r"(/\S+) \(0x", listed)


def _pack(tree: Path, folder: Path) -> Path:
    names = "\n".join(str(p.relative_to(tree)) for p in sorted(tree.rglob("*")))
    path = folder / "initramfs.cpio"
    with path.open("wb") as out:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            input=names.encode(), stdout=out, cwd=tree, check=True,
        )  # fmt: skip
    return path


def _boot(files: Files, initrd: Path, folder: Path) -> str:
    """What comes out of the second serial port until the machine switches itself off."""
    out = folder / "out"
    command: List[str] = [
        "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none",
        "-net", "none", "-no-reboot", "-m", "3072", "-smp", "2",
        "-kernel", str(files.image), "-initrd", str(initrd),
        "-append", "console=ttyS0 loglevel=4 panic=-1 no_timer_check",
        "-chardev", f"file,id=console,path={folder / 'console'}", "-serial", "chardev:console",
        "-chardev", f"file,id=out,path={out}", "-serial", "chardev:out",
    ]  # fmt: skip
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        machine.wait(SECONDS)
    except subprocess.TimeoutExpired:
        machine.kill()
        machine.wait()
    return out.read_text(errors="replace").replace("\r\n", "\n")
