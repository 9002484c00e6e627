# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums of slab memory in words: what agrees with the kernel's own count, and what doesn't."""

from __future__ import annotations

from typing import List, Optional

import pytest

from crash_ext.kernel.vmstat import Counter
from crash_ext.leak.usage import Sum, Usage
from crash_ext.view.usage import usage_lines

NONE = Sum("reclaimable", 0, 0, Counter("NR_SLAB_RECLAIMABLE_B", 0, True))
AGREES = ["0 bytes reclaimable, as the kernel counts", "  (NR_SLAB_RECLAIMABLE_B)"]


def told(large: Optional[int], counted: Optional[int], whole: bool = True) -> List[str]:
    counter = None if counted is None else Counter("NR_SLAB_UNRECLAIMABLE_B", counted, whole)
    return list(usage_lines(Usage(None, 500, 0, (NONE, Sum("unreclaimable", 500, large, counter)))))


@pytest.mark.parametrize(
    ("large", "counted", "lines"),
    [
        (0, 500, ["500 bytes unreclaimable, as the kernel counts", "  (NR_SLAB_UNRECLAIMABLE_B)"]),
        (None, None, ["500 bytes unreclaimable; the kernel's own count can't be read"]),
        (
            40,
            600,
            [
                "500 bytes unreclaimable and 40 in large kmallocs; the kernel counts 600",
                "  (NR_SLAB_UNRECLAIMABLE_B): 60 more",
            ],
        ),
        (
            None,
            600,
            [
                "500 bytes unreclaimable; the kernel counts 600",
                "  (NR_SLAB_UNRECLAIMABLE_B): 100 more, large kmallocs among them",
            ],
        ),
        (
            None,
            450,
            [
                "500 bytes unreclaimable; the kernel counts 450",
                "  (NR_SLAB_UNRECLAIMABLE_B): 50 less",
            ],
        ),
    ],
)
def test_a_sum_is_held_against_the_kernels_own(
    large: Optional[int], counted: Optional[int], lines: List[str]
) -> None:
    assert told(large, counted) == ["500 bytes in slabs", *AGREES, *lines]


def test_a_count_without_the_cpus_parts_is_told_as_such() -> None:
    assert told(0, 500, whole=False)[-1] == (
        "  (NR_SLAB_UNRECLAIMABLE_B, without the CPUs' parts of it)"
    )


def test_the_share_of_memory_and_what_kfence_has_are_told() -> None:
    lines = list(usage_lines(Usage(8000, 504, 4, (NONE, NONE._replace(kind="unreclaimable")))))
    assert lines[0] == "504 bytes in slabs: 6.3% of 8000 bytes of memory"
    assert lines[-1] == "4 bytes more are KFENCE's, which the kernel doesn't count"
