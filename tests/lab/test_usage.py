# SPDX-License-Identifier: GPL-3.0-or-later
"""slabdup -a on real dumps: the memory in slabs is what the kernel itself counts."""

from __future__ import annotations

import pytest

from tests import lab
from tests.lab.answers import ALL, answer

LARGE = 4 << 20
"""Bytes of large kmallocs that a small guest has, where nothing marks them."""


@pytest.mark.parametrize("scenario", ["leak", "kfence"])
@pytest.mark.parametrize("kernel", lab.KERNELS)
def test_the_sums_are_the_kernels_own(kernel: str, scenario: str) -> None:
    rows = answer(kernel, scenario, ALL)
    (usage,) = [row for row in rows if row["type"] == "usage"]
    assert usage["reclaimable"]["missing"] == 0
    other = usage["unreclaimable"]
    if other["large_kmalloc"] is None:
        assert 0 <= other["missing"] < LARGE
    else:
        assert other["missing"] == 0
        assert 0 < other["large_kmalloc"] < LARGE
    caches = [row for row in rows if row["type"] == "cache"]
    assert usage["bytes"] == sum(row["bytes"] for row in caches)
    assert usage["bytes"] < usage["memory"]
    by_name = {row["name"]: row for row in caches}
    assert by_name["dentry"]["reclaimable"]
    assert by_name["task_struct"]["accounted"]
    assert not by_name["kmalloc-64"]["reclaimable"]
