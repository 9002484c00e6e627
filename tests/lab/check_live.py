# SPDX-License-Identifier: GPL-3.0-or-later
"""On a running kernel, its own module's account judges what crash sees in /proc/kcore.

The module's objects stand still; around them processes come and go. Takes a minute and 3 GB
of memory: `make test-live` runs it, `make test` doesn't.
"""

from __future__ import annotations

import re

from tests.lab.live import run_live
from tests.lab.livedrgn import run_live_on_drgn
from tests.lab.session import records
from tests.lab.truth import allocated_rows

LINES = ["slabdup", "slabobjs -j -b 0 slab_test", "slabdup -a", "slabdup -aj", "slabwhy", "sys"]


def test_what_stands_still_in_a_running_kernel_is_told_right() -> None:
    session = run_live("6.1", LINES)
    said = session.said
    assert "DUMPFILE: /proc/kcore" in said["sys"]
    assert "leftover  slab_test" in said["slabdup"]
    account = {row["addr"] for row in allocated_rows(session.truth, "slab_test")}
    rows = records(said["slabobjs -j -b 0 slab_test"])
    assert {row["address"] for row in rows if row["type"] == "object"} == account
    assert [row["text"] for row in rows if row["type"] == "problem"] == []
    assert "never linked" in said["slabwhy"]
    for text in said.values():
        assert "Traceback" not in text
    caches = [row for row in records(said["slabdup -aj"]) if row["type"] == "cache"]
    assert len(caches) > 100
    leftovers = [row["name"] for row in caches if row["state"] == "leftover"]
    assert leftovers == ["slab_test"]


def test_slableak_k_tells_the_same_without_crash() -> None:
    line = "slabdup --then slabobjs -q slab_test"
    session = run_live_on_drgn("6.1", [line])
    said = session.said[line]
    assert "leftover  slab_test" in said
    account = {row["addr"] for row in allocated_rows(session.truth, "slab_test")}
    assert set(re.findall(r"(?m)^[0-9a-f]{16}$", said)) == account
    assert said.endswith("status 0\n")
