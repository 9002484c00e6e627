# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pointer to an object is worth: plain values. Knows no kernel."""

from __future__ import annotations

from typing import NamedTuple, Optional

from crash_ext.places.place import Place

UNREACHED = 0
"""Nothing in use leads to it."""
MAYBE = 1
"""Only memory that may be old leads to it."""
REACHED = 2
"""Memory in use leads to it."""

IN_USE = "in-use"
"""The pointer lies in memory that is in use, and that something leads to."""
PERHAPS = "perhaps"
"""It lies in memory that may be in use: a running task's stack, a page without a user."""
PENDING = "pending"
"""It lies in an object that waits for an RCU grace period to be freed."""
LOST = "lost"
"""It lies in an allocated object that nothing leads to."""
DEAD = "dead"
"""It lies in a free object, a free page, a dead part of a stack."""


class Step(NamedTuple):
    """One pointer on the way from memory in use to an object."""

    holder: int
    """Address of the pointer."""
    place: Optional[Place]
    """Where it lies."""
    target: int
    """Start of the object that it points into."""
    offset: int
    """Where in the object."""


class Way(NamedTuple):
    """The path to an object, in short."""

    address: int
    """Of the object."""
    root: Step
    """The first step: its pointer lies in memory in use."""
    entry: Step
    """The last one whose pointer lies outside of the object's cache."""
    last: Step
    """The pointer to the object itself."""
