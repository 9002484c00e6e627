# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine that runs the test module once, and a dump of its memory.

Software emulation boots a cloud kernel to an initramfs in some seconds. No network, no
disk. The truth and the kernel log leave by the second serial port, for the log's own
buffer and the console are too small and too slow for them. The machine is of any
architecture in the lab's table; its dump has VMCOREINFO in any case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .arches import AMD64, Arch
from .elfcore import add_note

INFO_MARK = "===vmcoreinfo"
LOG_MARK = "===log"
DONE_MARK = "===done"
BOOT_SECONDS = 240.0
DUMP_SECONDS = 300.0

_INIT = f"""#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec > /dev/ACCOUNT
stty -F /dev/ACCOUNT raw -echo
test -e /qemu_fw_cfg.ko && insmod /qemu_fw_cfg.ko
echo {INFO_MARK} $(cat /sys/kernel/vmcoreinfo)
# Reading makes the kernel gather entropy; 6.1 looks every 2 s whether %p can have its key.
test -e /seeded && dd if=/dev/random of=/dev/null bs=1 count=1 2> /dev/null && sleep 4
while read -r scenario; do
    test -e /proc/slabtest && rmmod slabtest
    insmod /slabtest.ko "scenario=$scenario" || echo "insmod failed"
    cat /proc/slabtest
done < /loads
echo {LOG_MARK}
dmesg
echo {DONE_MARK}
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


def initramfs(
    modules: Sequence[Path],
    setup: Setup,
    folder: Path,
    arch: Arch = AMD64,
    busybox: Optional[Path] = None,
) -> Path:
    """A cpio archive with busybox, the modules, and an init that runs slabtest.

    busybox: a static one of that architecture; None: this machine's.
    """
    tree = folder / "initramfs"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    program = busybox or shutil.which("busybox")
    if not program:
        raise GuestFailed("no busybox on this machine (packages.txt)")
    shutil.copy(program, tree / "bin/busybox")
    for name in _APPLETS:
        (tree / "bin" / name).symlink_to("busybox")
    for module in modules:
        shutil.copy(module, tree)
    (tree / "loads").write_text("".join(f"{load}\n" for load in setup.loads))
    if setup.seeded:
        (tree / "seeded").touch()
    (tree / "init").write_text(_INIT.replace("ACCOUNT", arch.account))
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
    image: Path, initrd: Path, setup: Setup, folder: Path, arch: Arch, accel: str
) -> Tuple[str, str, Path]:
    truth, console, elf = folder / "truth.serial", folder / "console", folder / "elf"
    arguments = f"console={arch.console} loglevel=4 panic=-1 {arch.arguments} {setup.arguments}"
    for path in (truth, console, elf):
        path.unlink(missing_ok=True)
    # qmp: relative, for a socket's path may not be longer than 107 bytes
    command = [
        f"qemu-system-{arch.gnu}", "-accel", accel, "-nodefaults", "-display", "none",
        "-net", "none", "-no-reboot", *setup.options(),
        *(["-device", "vmcoreinfo"] if arch.vmcoreinfo else []),
        "-kernel", str(image), "-initrd", str(initrd), "-append", arguments.strip(),
        "-chardev", f"file,id=console,path={console}",
        "-chardev", f"file,id=account,path={truth}", *arch.machine,
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
    if not arch.vmcoreinfo:
        # Here the kernel itself may have printed before.
        told = re.search(rf"(?m)^{INFO_MARK} 0x([0-9a-f]+) ", account)
        if not told:
            raise GuestFailed(f"no place of vmcoreinfo: {account[:2000]!r}")
        add_note(elf, int(told.group(1), 16))
    return account, rest.partition(DONE_MARK)[0], elf


def run(
    image: Path,
    modules: Sequence[Path],
    setup: Setup,
    folder: Path,
    arch: Arch = AMD64,
    busybox: Optional[Path] = None,
) -> Tuple[str, str, Path]:
    """Boots, runs the module, dumps. (truth, kernel log, dump in QEMU's ELF form).

    The second and third try go without threads: emulation with them has made a kernel
    panic in its text patching (7.3). Raises GuestFailed.
    """
    initrd = initramfs(modules, setup, folder, arch, busybox)
    for accel in ("tcg", "tcg,thread=single"):
        try:
            return _attempt(image, initrd, setup, folder, arch, accel)
        except GuestFailed:
            continue
    return _attempt(image, initrd, setup, folder, arch, "tcg,thread=single")
