# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands at work on the lab's 6.1 dump, in real crash: `make demo`.

    python -m tests.lab.demo CRASH LOADER

Shows what one would see who typed the commands. The dump is made if the cache doesn't
have it. Exit status 1 if the leftover cache, every object leaked in it, or the cause is missing
from what crash printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, Optional

from . import cache
from .archive import Unavailable
from .dumps import Dump, dump
from .tree import check

SCRIPT = Path(__file__).resolve().parents[2] / "crash_ext" / "slableak.py"
PROMPT = "crash> "


def commands(loader: Path, leftover: str) -> List[str]:
    return [
        f"extend {loader}",
        f"extend {SCRIPT}",
        "slabdup",
        "slabdup slab_test",
        f"slabobjs -l 1 {leftover}",
        "slabwhy",
    ]


def show(crash: str, loader: Path, specimen: Dump) -> int:
    """Runs crash, shows its output from the first prompt on. Exit status.

    What comes before is crash's licence, and its complaints about a guest's idle tasks:
    shown only where no prompt ever came.
    """
    leftover = specimen.truth["caches"]["slab_test"]["leftover"]["kmem_cache"]
    print(f"{crash} {specimen.vmlinux} {specimen.vmcore}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        typed = Path(home) / "typed"
        typed.write_text("\n".join([*commands(loader, leftover), "quit", ""]))
        # HOME: what is in the user's .crashrc is no part of the demonstration.
        session = subprocess.Popen(
            [crash, "-i", str(typed), str(specimen.vmlinux), str(specimen.vmcore)],
            cwd=home,
            env={**os.environ, "HOME": home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert session.stdout is not None
        printed: List[str] = []
        banner: Optional[str] = ""
        with session.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace")
                if banner is not None and not line.startswith(PROMPT):
                    banner += line
                    continue
                banner = None
                if not line.startswith(PROMPT):
                    printed.append(line)
                print(line, end="", flush=True)
        status = session.wait()
    if banner is not None:
        print(banner, end="")
    text = "".join(printed)
    leaked = [row["addr"] for row in specimen.truth["objects"]["slab_test"]["leftover"]["leaked"]]
    found = leftover in text and any(address in text for address in leaked)
    if found and "off the list" in text:
        return status
    print(
        f"demo: cache {leftover}, its {len(leaked)} objects or the cause were not found",
        file=sys.stderr,
    )
    return 1


def main(crash: str, loader: str) -> int:
    try:
        if not any((cache.root() / "dumps").glob("6.1-leak-*")):
            # Before hundreds of MB are fetched.
            check()
            if os.geteuid():
                # QEMU makes its dump readable for the owner, and the lab writes to it.
                again = ["unshare", "--map-root-user", sys.executable, "-m", __spec__.name]
                os.execvp(again[0], [*again, crash, loader])
        # Once: whoever isn't root comes here by the second of two programs.
        print("Kernel 6.1 with a leak, from the lab's cache or made now (minutes)", flush=True)
        specimen = dump("6.1", "leak")
    except Unavailable as reason:
        print("demo:", " ".join(str(reason).split()), file=sys.stderr)
        return 1
    return show(crash, Path(loader).resolve(), specimen)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
