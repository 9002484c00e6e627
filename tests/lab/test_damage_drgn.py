# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps damaged at random, which drgn opens and crash doesn't: nothing is denied, all ends.

`python -m tests.lab.drgnfuzz 300` tries more.
"""

from __future__ import annotations

import pytest

from tests.lab.drgnfuzz import FORMS, Answer, try_case, wrong

WHOLE = Answer(
    0, "ffff8961022ee000\nno two of 98 caches share a name, and none is a leftover\n", ""
)
OFTEN = (1, 7, 8)
SEEDS = [
    pytest.param(seed, marks=[] if seed in OFTEN else [pytest.mark.long])
    for seed in range(5 * len(FORMS))
]
"""Each damage in each form."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_dump_gets_a_true_answer_or_none(seed: int) -> None:
    assert try_case(seed) == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (WHOLE._replace(status=1), "denied, though incomplete: no two of 98"),
        (WHOLE._replace(err="slabdup: cannot read\n"), "the status of a complete answer"),
        (WHOLE._replace(status=1, err="Traceback (most recent call last):\n"), "a traceback"),
        (WHOLE._replace(status=1, err="drgn: failed\n"), "not in our words: drgn: failed"),
        (WHOLE._replace(status=3), "status 3"),
        (WHOLE._replace(out="ffff8961022ee000\n"), "another answer, called complete"),
        (Answer(1, "ffff8961022eec00\n", ""), "called allocated: ffff8961022eec00"),
    ],
)
def test_what_would_be_wrong_is_seen(answer: Answer, fault: str) -> None:
    assert any(fault in text for text in wrong(answer, WHOLE, checked=True))


def test_the_right_answer_is_not_wrong() -> None:
    assert wrong(WHOLE, WHOLE, checked=True) == []
    assert wrong(Answer(1, "no cache could be read\n", "slabdup: cut\n"), WHOLE, True) == []
