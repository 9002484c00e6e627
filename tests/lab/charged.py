# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of a machine in which one process lives in a memory cgroup of its own.

Its account: a line `slept PID`, that process. The kernel's own caches hold what the cgroup
pays for, so no test module is needed; another init than guest.py's does the work.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import cache, guest
from .dumps import Dump, filter_dump
from .guest import DONE_MARK, LOG_MARK, Setup
from .kernels import KERNELS, fetch

PATH = "/leaky/deep"
"""The cgroup, as /proc/PID/cgroup has it."""

_NAME = "charged"
_INIT = f"""#!/bin/sh
export PATH=/bin
mkdir() {{ busybox mkdir "$@"; }}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
insmod /qemu_fw_cfg.ko
mkdir /cg
mount -t cgroup2 none /cg
echo +memory > /cg/cgroup.subtree_control
mkdir /cg/leaky
echo +memory > /cg/leaky/cgroup.subtree_control
mkdir /cg/leaky/deep
sh -c 'echo $$ > /cg/leaky/deep/cgroup.procs; sleep 998 & echo slept $! > /dev/ttyS1; sleep 1'
cat /cg/leaky/deep/cgroup.procs > /dev/ttyS1
echo {LOG_MARK} > /dev/ttyS1
dmesg > /dev/ttyS1
echo {DONE_MARK} > /dev/ttyS1
while :; do sleep 1000; done
"""


def charged_dump(kernel: str) -> Dump:
    """The dump, out of the lab's cache after the first time. Raises as dumps.dump()."""
    row = KERNELS[kernel]
    files = fetch(row)

    def make(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        init = work / _NAME
        init.write_text(_INIT)
        init.chmod(0o755)
        # guest.py puts every file it is given for a module into the guest's root.
        setup = Setup((), arguments=f"rdinit=/{_NAME}")
        account, log, whole = guest.run(files.image, [files.fw_cfg, init], setup, work)
        (folder / "account").write_text(account)
        (folder / "log").write_text(log)
        filter_dump(row, whole, folder / "vmcore")
        shutil.rmtree(work)

    ours = [Path(__file__), Path(__file__).with_name("elfcore.py")]
    name = f"{kernel}-{_NAME}-{files.version}-{cache.digest(row, *ours)}"
    return Dump(kernel, _NAME, cache.once("dumps", name, make), files.vmlinux)


def process(dump: Dump) -> int:
    """The PID of the process in the cgroup. The account also has the cgroup's own list of it."""
    account = (dump.folder / "account").read_text()
    found = re.fullmatch(r"slept (\d+)\n(\d+)\n", account)
    assert found, f"the guest says:\n{account}"
    assert found.group(1) == found.group(2)
    return int(found.group(1))
