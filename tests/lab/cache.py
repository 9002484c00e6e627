# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's cache folder: where it is, how a part of it is built once and whole.

Knows folders, locks and hashes. What is built in them is the others' business.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Iterator


def root() -> Path:
    """$SLABLEAK_CACHE, else slableak in $XDG_CACHE_HOME (~/.cache)."""
    if os.environ.get("SLABLEAK_CACHE"):
        path = Path(os.environ["SLABLEAK_CACHE"])
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slableak"
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Holds the lock of that name: one process in the machine at a time."""
    folder = root() / "locks"
    folder.mkdir(exist_ok=True)
    with open(folder / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(kind: str, name: str, build: Callable[[Path], None]) -> Path:
    """The folder KIND/NAME; if it isn't there, build() fills a new one.

    The folder gets its name only when build() is through: a killed build leaves
    scrap in `scrap`, never a half folder. A second process waits for the first.
    """
    path = root() / kind / name
    if path.is_dir():
        return path
    with lock(f"{kind}-{name}"):
        if path.is_dir():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        scrap = root() / "scrap"
        scrap.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{kind}-{name}-", dir=scrap))
        try:
            work.chmod(0o755)
            build(work)
            work.rename(path)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return path


def digest(*parts: object) -> str:
    """A short hash of the parts; a Path stands for the file's contents."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else repr(part).encode()
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:12]
