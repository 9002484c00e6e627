# SPDX-License-Identifier: GPL-3.0-or-later
"""Which caches share a name, and which were left behind by a failed destroy."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from crash_ext.leak.family import Families
from crash_ext.leak.state import LEFTOVER
from crash_ext.leak.survey import Survey, survey_family
from crash_ext.slub.model import Cache
from crash_ext.slub.session import Session
from crash_ext.slub.unlisted import find_unlisted


class Group(NamedTuple):
    """The caches of one name, newest first (those off the list last: no list dates them)."""

    name: Optional[bytes]
    members: List[Survey]


class Totals(NamedTuple):
    """What a run of groups comes to."""

    groups: int
    """Names that several caches have."""
    leftovers: int
    objects: int
    """Allocated in leftovers."""
    slabs: int
    """Held by leftovers."""
    bytes: int
    """Memory of those slabs."""
    more_objects: bool
    """There may be more objects, which can't be read."""
    more_slabs: bool
    """There may be more slabs, which can't be found."""


def all_caches(session: Session, problems: List[str], lists_only: bool = False) -> List[Cache]:
    """Every cache of the kernel: those on slab_caches, newest first, then the unlisted."""
    listed = session.listed_caches()
    problems.extend(listed.problems)
    return listed.caches + find_unlisted(session, problems, lists_only)


def find_groups(
    session: Session, caches: Sequence[Cache], lists_only: bool = False
) -> Iterator[Group]:
    """The names that several of the caches have, and the leftovers, in the caches' order.

    A cache of its own name that is listed and has references is nobody's leftover, and
    isn't counted: that would cost reading every slab of the kernel. A memcg child goes with
    its root: the kernel names it by cgroup, and may give two the same name.
    """
    families = Families(caches)
    for name, members in by_name(caches).items():
        several = name is not None and sum(not cache.root for cache in members) > 1
        whole = [each for cache in members for each in families.with_children(cache)]
        if several or any(cache.destroyed or not cache.listed for cache in whole):
            found = [survey_family(session, cache, families, lists_only) for cache in members]
            yield Group(name, found)


def every_group(
    session: Session, caches: Sequence[Cache], lists_only: bool = False
) -> Iterator[Group]:
    """All caches, by name: the slabs of each are read, so session.progress hears of it."""
    families = Families(caches)
    done = 0
    for name, members in by_name(caches).items():
        surveys: List[Survey] = []
        for cache in members:
            surveys.append(survey_family(session, cache, families, lists_only))
            done += len(families.with_children(cache))
            session.progress(done, len(caches))
        yield Group(name, surveys)


def by_name(caches: Sequence[Cache]) -> Dict[Optional[bytes], List[Cache]]:
    """The caches by name, in their order; under None those whose name can't be read.

    Without the memcg children of those roots.
    """
    families = Families(caches)
    groups: Dict[Optional[bytes], List[Cache]] = {}
    for cache in caches:
        if not families.is_member(cache):
            groups.setdefault(cache.name, []).append(cache)
    return groups


def total(groups: Iterable[Group]) -> Totals:
    """Count the groups; a name that one cache alone has is no group.

    A leftover's memcg children are no leftovers of their own, but what they hold counts.
    """
    several = 0
    left: List[Survey] = []
    for group in groups:
        roots = [member for member in group.members if not member.cache.root]
        several += group.name is not None and len(roots) > 1
        for member in group.members:
            # A child of a living one may be destroyed by itself, when its cgroup goes.
            own = (member,) if member.state.kind == LEFTOVER else member.children
            left += [each for each in own if each.state.kind == LEFTOVER]
    return Totals(
        several,
        len(left),
        objects=sum(each.whole_allocated for each in left),
        slabs=sum(each.whole_slabs for each in left),
        bytes=sum(each.whole_bytes for each in left),
        more_objects=any(each.more_allocated for each in left),
        more_slabs=any(each.more_slabs for each in left),
    )
