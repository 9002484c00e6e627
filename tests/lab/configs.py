# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of our own configuration: what no Debian kernel shows of the allocator.

A row is Debian's source of a release, built with as little as a guest of the lab needs and
with what the row is for. One unpacked source serves all rows of a release; each is built in a
folder of its own, which keeps what a module is compiled against.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, Sequence, Tuple

from . import cache
from .archive import Archive, Unavailable, discard, unpack
from .tree import Tree, unpacked

_TOOLS = [
    "bc", "binutils", "bison", "ccache", "cpio", "flex", "gcc", "gzip", "kmod", "libc6-dev",
    "libelf-dev", "libssl-dev", "make", "perl-base", "python3-minimal", "xz-utils",
]  # fmt: skip
"""What building a kernel takes (Documentation/process/changes.rst), and ccache."""

_JOBS = os.cpu_count() or 1
_SECONDS = 7200.0
"""For which a build may run: it takes 5 minutes of one CPU."""

_GUEST = """
64BIT SMP NUMA X86_64_ACPI_NUMA ACPI PCI SYSFS PROC_FS PROC_SYSCTL DEVTMPFS TMPFS
TTY SERIAL_8250 SERIAL_8250_CONSOLE PRINTK PRINTK_TIME BUG BLK_DEV_INITRD RD_GZIP
BINFMT_ELF BINFMT_SCRIPT FUTEX EPOLL SIGNALFD TIMERFD EVENTFD SHMEM AIO MULTIUSER
POSIX_TIMERS FILE_LOCKING HIGH_RES_TIMERS NO_HZ_IDLE ELFCORE
EXPERT MODULES MODULE_UNLOAD KALLSYMS KALLSYMS_ALL CRC32
KEXEC CRASH_DUMP DEBUG_KERNEL DEBUG_INFO_DWARF4 SLUB_DEBUG VM_EVENT_COUNTERS
UNWINDER_FRAME_POINTER STACKTRACE COMPACTION SPARSEMEM_VMEMMAP
""".split()
"""What every row has: a machine with two nodes, a serial console, modules, a dump to read."""


@dataclass(frozen=True)
class Config:
    """A row of the table.

    name: what the lab calls it; kernel: the row of KERNELS whose release and hosts it has;
    has, lacks: options (without CONFIG_) that make it worth a row; values: options with a
    value that is neither; arguments: for its command line; crash: options without which crash
    doesn't open its dumps.
    """

    name: str
    kernel: str
    has: Tuple[str, ...] = ()
    lacks: Tuple[str, ...] = ()
    values: Tuple[Tuple[str, str], ...] = ()
    arguments: str = ""
    crash: Tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """As a .config has them."""
        yield from (f"CONFIG_{name}=y" for name in (*_GUEST, *self.has) if name not in self.lacks)
        yield from (f"# CONFIG_{name} is not set" for name in self.lacks)
        yield from (f"CONFIG_{name}={value}" for name, value in (*_VALUES, *self.values))


_VALUES = (
    ("FW_CFG_SYSFS", "m"),
    ("NODES_SHIFT", "2"),
    ("NR_CPUS", "8"),
)

_HARDENED = ("SLAB_FREELIST_HARDENED", "SLAB_FREELIST_RANDOM", "SLUB_CPU_PARTIAL")

CONFIGS: Dict[str, Config] = {
    row.name: row
    for row in (
        # Tags of who allocated behind each slab's objects, 16 caches for each size of
        # kmalloc, and created caches that are names for another (but for those that the lab's
        # module declares open to usercopy).
        Config(
            "6.12-profiled", "6.12",
            has=(
                "MEM_ALLOC_PROFILING", "MEM_ALLOC_PROFILING_ENABLED_BY_DEFAULT",
                "RANDOM_KMALLOC_CACHES", "SLAB_MERGE_DEFAULT", "HARDENED_USERCOPY", *_HARDENED,
                "RANDOMIZE_BASE", "RELOCATABLE",
            ),
        ),
        # No kmem_cache_cpu, no count of slabs or objects, no sysfs. It merges what it can; crash
        # (to 9.0.2) takes it for the old SLAB.
        Config(
            "6.12-tiny", "6.12",
            has=("SLUB_TINY",), lacks=("SLUB_DEBUG",),
            arguments="slab_nomerge", crash=("--no_kmem_cache",),
        ),
        # Plain pointers on freelists in the order of addresses; what is free is zero.
        Config(
            "6.12-plain", "6.12",
            has=("INIT_ON_FREE_DEFAULT_ON",), lacks=(*_HARDENED, "SLAB_MERGE_DEFAULT"),
        ),
        # Objects with metadata around them, and freed ones that SLUB hasn't got back; page
        # structures in the direct map, with the section's number above the node's.
        Config(
            "6.12-kasan", "6.12",
            has=("KASAN", "KASAN_GENERIC", "SLUB_CPU_PARTIAL"), lacks=("SPARSEMEM_VMEMMAP",),
        ),
        # Another allocator.
        Config("6.1-slab", "6.1", has=("SLAB",), lacks=("SLUB", "SLUB_DEBUG")),
    )
}  # fmt: skip
"""Options that don't hide each other share a row: a build takes minutes."""


def tools(release: str) -> Tree:
    """A tree with what builds a release's kernels and modules for them."""
    return unpacked(Archive(release), f"kbuild-{release}", _TOOLS)


def _source(release: str, kernel: str) -> Tuple[str, Path]:
    """Version and folder of Debian's source of that kernel (6.12), the newest there is."""
    archive, package = Archive(release), f"linux-source-{kernel}"
    version = next(iter(archive.versions(package)), "")
    if not version:
        raise Unavailable(f"{release} has no {package}")

    def build(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        packed = Path("usr/src") / f"{package}.tar.xz"
        unpack(archive.download(f"{package}={version}", work), work, f"./{packed}")
        strip = ["--strip-components=1", "-C", str(folder)]
        subprocess.run(["tar", "-xJf", str(work / packed), *strip], check=True)
        discard(work)

    return version, cache.once("sources", version, build)


def build_kernel(release: str, config: Config) -> Tuple[str, Path]:
    """The kernel of that row: (version, folder).

    The folder has vmlinux, vmlinuz and qemu_fw_cfg.ko, and in `build` what modules are
    compiled against. RuntimeError if an option of the row can't be had, or make fails.
    """
    version, source = _source(release, config.kernel)
    wanted = list(config.lines())

    def build(folder: Path) -> None:
        out = folder / "build"
        out.mkdir()
        (out / "wanted").write_text("".join(f"{line}\n" for line in wanted))
        _make(release, source, out, f"KCONFIG_ALLCONFIG={out}/wanted", "allnoconfig")
        _require(wanted, (out / ".config").read_text())
        _make(release, source, out, f"-j{_JOBS}", "vmlinux", "bzImage", "modules")
        (out / "vmlinux").rename(folder / "vmlinux")
        (out / "arch/x86/boot/bzImage").rename(folder / "vmlinuz")
        (out / "drivers/firmware/qemu_fw_cfg.ko").rename(folder / "qemu_fw_cfg.ko")
        for suffix in ("o", "a", "cmd", "bin"):
            for path in out.rglob(f"*.{suffix}"):
                if path.relative_to(out).parts[0] not in ("scripts", "tools"):
                    path.unlink()

    name = f"{version}-{config.name}-{cache.digest(wanted, _TOOLS)}"
    return name, cache.once("kernels", name, build)


def _make(release: str, source: Path, out: Path, *words: str) -> None:
    # Debian's module signing and version strings have no part in it; the same preprocessed
    # text gives the same object file, whatever folder and row it was compiled for.
    command = [
        "env", f"CCACHE_DIR={cache.root() / 'ccache'}", "CCACHE_NOHASHDIR=1",
        "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab", "KBUILD_BUILD_TIMESTAMP=1970-01-01",
        "make", "-s", "-C", str(source), f"O={out}", "CC=ccache gcc", *words,
    ]  # fmt: skip
    done = tools(release).run(command, timeout=_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} fails:\n{done.stdout[-3000:]}")


def _require(wanted: Sequence[str], have: str) -> None:
    """RuntimeError for options that other options don't allow."""
    lines = have.splitlines()
    lost = [
        line
        for line in wanted
        if line not in lines
        # An option that isn't even offered isn't set, either.
        and not (line.startswith("#") and f"{line.split()[1]}=" not in have)
    ]
    if lost:
        raise RuntimeError(f"this configuration isn't to be had: {', '.join(lost)}")
