# SPDX-License-Identifier: GPL-3.0-or-later
"""The architectures of the lab: a table.

The machine that the lab runs on is amd64; kernels of all others are emulated, their modules
cross-built, their programs run by QEMU's user emulation. Names: Debian's for packages, GNU's
for compilers, QEMU's for its programs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Tuple


@dataclass(frozen=True)
class Arch:
    """A row of the table.

    name: Debian's; gnu: the first word of GNU's triplet, for QEMU, too.
    flavour: of Debian's kernel packages, linux-image-FLAVOUR.
    machine: QEMU's options for a machine; console, account: its two serial ports, as the
        kernel calls them; arguments: for the kernel's command line.
    vmcoreinfo: QEMU has a device by which the kernel tells its dump what is where, and the
        kernel a module for it. Without: the lab puts the note in.
    nodes: as many NUMA nodes QEMU's machine can have, of those that the lab asks for.
    processor: the one that programs are given. No dump depends on it.
    """

    name: str
    gnu: str
    flavour: str
    machine: Tuple[str, ...]
    console: str
    account: str
    arguments: str = ""
    vmcoreinfo: bool = True
    nodes: int = 2
    processor: str = field(default="max", repr=False)

    @property
    def foreign(self) -> bool:
        """Its programs don't run on the lab's machine."""
        return self.name != AMD64.name

    @property
    def emulator(self) -> List[str]:
        """The beginning of a command line that runs a program of it."""
        return [f"qemu-{self.gnu}-static", "-cpu", self.processor]


AMD64 = Arch(
    "amd64",
    "x86_64",
    "cloud-amd64",
    ("-serial", "chardev:console", "-serial", "chardev:account"),
    "ttyS0",
    "ttyS1",
    # On a busy machine the emulated timer is late for the kernel's test.
    "no_timer_check",
)
ARM64 = Arch(
    "arm64",
    "aarch64",
    "cloud-arm64",
    (
        *("-M", "virt", "-cpu", "cortex-a57", "-serial", "chardev:console"),
        *("-device", "pci-serial,chardev=account"),
    ),
    "ttyAMA0",
    "ttyS0",
    # A newer one signs return addresses, which costs QEMU ten times what all else does.
    processor="cortex-a57",
)
S390X = Arch(
    "s390x",
    "s390x",
    "s390x",
    (
        *("-M", "s390-ccw-virtio", "-device", "sclplmconsole,chardev=console"),
        *("-device", "sclpconsole,chardev=account"),
    ),
    "ttyS0",
    "ttysclp0",
    # Else the kernel takes the other one for its messages.
    "conmode=sclp",
    vmcoreinfo=False,
    nodes=1,
)

ARCHES = {arch.name: arch for arch in (AMD64, ARM64, S390X)}
