# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine that runs the test module once, and a dump of its memory.

Software emulation boots a cloud kernel to an initramfs in some seconds. No network, no
disk. The truth and the kernel log leave by the second serial port, for the log's own
buffer and the console are too small and too slow for them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

LOG_MARK = "===log"
DONE_MARK = "===done"
BOOT_SECONDS = 240.0
DUMP_SECONDS = 300.0

_INIT = f"""#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
insmod /qemu_fw_cfg.ko
# Reading makes the kernel gather entropy; 6.1 looks every 2 s whether %p can have its key.
test -e /seeded && dd if=/dev/random of=/dev/null bs=1 count=1 2> /dev/null && sleep 4
while read -r scenario; do
    test -e /proc/slabtest && rmmod slabtest
    insmod /slabtest.ko "scenario=$scenario" || echo "insmod failed" > /dev/ttyS1
    cat /proc/slabtest > /dev/ttyS1
done < /loads
echo {LOG_MARK} > /dev/ttyS1
dmesg > /dev/ttyS1
echo {DONE_MARK} > /dev/ttyS1
while :; do sleep 1000; done
"""
_APPLETS = "sh mount stty test insmod rmmod cat echo dmesg sleep dd".split()


class GuestFailed(Exception):
    """The machine didn't do its work; carries the end of its console."""


@dataclass(frozen=True)
class Setup:
    """What a scenario needs of its machine.

    loads: the module's parameter, each time it is loaded; memory: MB; nodes: NUMA nodes;
    arguments: the kernel's command line; seeded: the kernel's random numbers are ready
    before that, so that %p in the log is a hash and not (____ptrval____).
    """

    loads: Tuple[str, ...]
    memory: int = 256
    nodes: int = 1
    arguments: str = ""
    seeded: bool = False

    def options(self) -> List[str]:
        """QEMU's options for it: two CPUs, shared out evenly among the nodes."""
        options = ["-m", str(self.memory), "-smp", "2"]
        if self.nodes > 1:
            share = self.memory // self.nodes
            for node in range(self.nodes):
                options += [
                    "-object", f"memory-backend-ram,id=m{node},size={share}M",
                    "-numa", f"node,nodeid={node},cpus={node},memdev=m{node}",
                ]  # fmt: skip
        return options


def initramfs(modules: Sequence[Path], setup: Setup, folder: Path) -> Path:
    """A cpio archive with busybox, the modules, and an init that runs slabtest."""
    tree = folder / "initramfs"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox:
        raise GuestFailed("no busybox on this machine (packages.txt)")
    shutil.copy(busybox, tree / "bin/busybox")
    for name in _APPLETS:
        (tree / "bin" / name).symlink_to("busybox")
    for module in modules:
        shutil.copy(module, tree)
    (tree / "loads").write_text("".join(f"{load}\n" for load in setup.loads))
    if setup.seeded:
        (tree / "seeded").touch()
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(p.relative_to(tree)) for p in sorted(tree.rglob("*")))
    path = folder / "initramfs.cpio"
    with path.open("wb") as out:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            input=names.encode(), stdout=out, cwd=tree, check=True,
        )  # fmt: skip
    shutil.rmtree(tree)
    return path


class _Qmp:
    """QEMU's control socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rw")
        self._file.readline()  # greeting
        self.call("qmp_capabilities")

    def call(self, name: str, **arguments: object) -> Any:
        self._file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer: Dict[str, Any] = json.loads(self._file.readline() or '{"error": "closed"}')
            if "error" in answer:
                raise GuestFailed(f"QMP {name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _wait(machine: subprocess.Popen[bytes], truth: Path, console: Path) -> None:
    """Until the guest says that it's done."""
    end = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < end and machine.poll() is None:
        if truth.exists() and truth.stat().st_size:
            with truth.open("rb") as file:
                file.seek(max(0, truth.stat().st_size - 32))
                if DONE_MARK.encode() in file.read():
                    return
        time.sleep(0.2)
    tail = console.read_text(errors="replace")[-2000:] if console.exists() else ""
    raise GuestFailed(f"the guest isn't done after {BOOT_SECONDS:.0f} s:\n{tail}")


def _attempt(
    image: Path, initrd: Path, setup: Setup, folder: Path, accel: str
) -> Tuple[str, str, Path]:
    truth, console, elf = folder / "truth.serial", folder / "console", folder / "elf"
    for path in (truth, console, elf):
        path.unlink(missing_ok=True)
    # qmp: relative, for a socket's path may not be longer than 107 bytes
    command = [
        "qemu-system-x86_64", "-accel", accel, "-nodefaults", "-display", "none",
        "-net", "none", "-no-reboot", "-device", "vmcoreinfo", *setup.options(),
        "-kernel", str(image), "-initrd", str(initrd),
        # no_timer_check: on a busy machine the emulated timer is late for the kernel's test.
        "-append", f"console=ttyS0 loglevel=4 panic=-1 no_timer_check {setup.arguments}".strip(),
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-chardev", f"file,id=truth,path={truth}", "-serial", "chardev:truth",
        "-qmp", "unix:qmp,server=on,wait=off",
    ]  # fmt: skip
    with (folder / "qemu.err").open("w") as errors:
        machine = subprocess.Popen(command, cwd=folder, stderr=errors, stdin=subprocess.DEVNULL)
    try:
        _wait(machine, truth, console)
        here = os.open(folder, os.O_RDONLY)
        try:
            qmp = _Qmp(Path(f"/proc/self/fd/{here}/qmp"), DUMP_SECONDS)
            qmp.call("dump-guest-memory", paging=False, protocol=f"file:{elf}", format="elf")
            qmp.close()
        finally:
            os.close(here)
    except GuestFailed as failure:
        raise GuestFailed(f"{failure}\n{(folder / 'qemu.err').read_text()}") from None
    finally:
        machine.kill()
        machine.wait()
    text = truth.read_text(errors="replace").replace("\r\n", "\n")
    account, _, rest = text.partition(LOG_MARK + "\n")
    return account, rest.partition(DONE_MARK)[0], elf


def run(image: Path, modules: Sequence[Path], setup: Setup, folder: Path) -> Tuple[str, str, Path]:
    """Boots, runs the module, dumps. (truth, kernel log, dump in QEMU's ELF form).

    The second and third try go without threads: emulation with them has made a kernel
    panic in its text patching (7.3). Raises GuestFailed.
    """
    initrd = initramfs(modules, setup, folder)
    for accel in ("tcg", "tcg,thread=single"):
        try:
            return _attempt(image, initrd, setup, folder, accel)
        except GuestFailed:
            continue
    return _attempt(image, initrd, setup, folder, "tcg,thread=single")
