# SPDX-License-Identifier: GPL-3.0-or-later
"""A log arrives as desks send it: in UTF-16 from another system's shell, or still packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Callable

import pytest

from crash_ext.files import read_text
from mocks.heap import Heap
from mocks.layouts import LAYOUTS
from tests.unit.asked import text

LOG = "[    1.5] BUG slab_test (Tainted: G): Objects remaining in slab_test, caché\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_in_any_encoding_that_names_itself_is_read(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "log").write_bytes((mark + LOG).encode(encoding))
    assert read_text(str(tmp_path / "log")) == LOG.replace("\r\n", "\n")


def test_bytes_that_are_no_text_do_not_hide_the_rest(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\x00" + LOG.encode())
    assert read_text(str(tmp_path / "log")).endswith(LOG.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (lambda data: b"\x28\xb5\x2f\xfd" + data, "zstd"),
    ],
)
def test_a_packed_log_is_refused_with_the_reason(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    file = tmp_path / "log"
    file.write_bytes(pack(LOG.encode()))
    shown = text(Heap(LAYOUTS["6.12"], seed=3), "slabwhy", "-L", str(file))
    assert shown.splitlines()[0] == f"slabwhy: {file}: compressed ({name}): unpack it first"
