# SPDX-License-Identifier: GPL-3.0-or-later
"""Proposes which structure a cache's objects are: by size, by name, by what their words are.

A proposal, never a finding: memory doesn't say its type. Each comes with what speaks for
it and against it. Knows the kernel's own types and, through the reader, the debug information;
reads no memory, and what the words are it is told.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from crash_ext.kernel.declared import Structure
from crash_ext.kernel.kerneltypes import KernelTypes
from crash_ext.reader import Member, Reader
from crash_ext.report.text import plural

LIST = "list"
"""A struct list_head, linked or empty."""
DELETED = "poisoned list node"
"""A struct list_head or hlist_node that was taken off its list."""
HLIST = "hlist"
"""A struct hlist_node."""
TREE = "tree"
"""A struct rb_node."""
POINTER = "pointer"
TEXT = "text"
NUMBER = "number"
ZERO = "zero"
UNKNOWN = "unknown"


class Piece(NamedTuple):
    """One or more words of an object: where, how many bytes, and one of the kinds above."""

    offset: int
    size: int
    kind: str


class Proposal(NamedTuple):
    """A structure that the objects may be."""

    struct: str
    size: int
    """Bytes."""
    score: float
    """To be compared with other proposals for the same objects only."""
    reasons: List[str]
    against: List[str]
    structure: Optional[Structure]
    """Where the kernel's own types have it; None where only the host does."""


class Hint(NamedTuple):
    """What speaks for a structure besides its name, its size and the words."""

    structure: Structure
    reason: str
    """In words: "is slabtest's own"."""
    weight: float
    """MADE or OWN."""


MADE = 6.0
"""Who allocated the objects returns a pointer to it."""
OWN = 2.0
"""It is declared in a module that has to do with the objects: their words have to speak, too."""
MOST = 5
"""Most proposals."""
_CANDIDATES = 1000
_SAMPLES = 8
_ALIGNED = 7
"""A cache may have been created with the size rounded up to a multiple of 8."""

_HLISTS = ("struct hlist_node", "struct hlist_bl_node", "struct hlist_nulls_node")
_NODES = {
    LIST: ("struct list_head",),
    HLIST: _HLISTS,
    DELETED: ("struct list_head", *_HLISTS),
    TREE: ("struct rb_node",),
}
# What a piece that fits, or doesn't, counts.
_FITS = {LIST: 3.0, HLIST: 3.0, DELETED: 3.0, TREE: 3.0, TEXT: 2.0, POINTER: 1.0, NUMBER: 0.25}
_SPEAKING = (LIST, HLIST, DELETED, TREE, TEXT, POINTER)
"""Numbers alone prove nothing."""
_LEAST = 2.0
"""An object's words must speak so much for a structure whose name doesn't: two pointers."""
_EQUAL, _CONTAINED, _WORD_SHARED = 6.0, 3.0, 1.5
_SAME_SIZE = 1.0

_BYTES = re.compile(r"(?:const |unsigned |signed )*(?:char|u8|__u8|uint8_t|s8)\[.*")
_INTEGER = re.compile(
    r"(?:const |volatile |unsigned |signed |long |short |int )*"
    r"(?:int|long|short|char|bool|_Bool|unsigned|[us]\d+|__[usbl]e?\d+|u?int\d+_t|enum \w+|\w+_t)"
)
_FILLERS = {"slab", "cache", "kmem", "info", "struct", "data", "object", "cachep", "test"}


def propose_types(
    reader: Reader,
    name: Optional[bytes],
    object_size: int,
    samples: Sequence[Sequence[Piece]],
    search: bool = True,
    types: Optional[KernelTypes] = None,
    hints: Sequence[Hint] = (),
) -> Optional[List[Proposal]]:
    """Structures that a cache's objects may be, best first; empty: nothing fits.

    name, object_size: the cache's. samples: the words of some of its objects. search: look
    at all structures of that size, too; without it only at those that have the cache's name
    or that a hint is of. types: the kernel's own; what they lack the host is asked for, whose
    search takes many seconds the first time. None where neither can search.
    """
    candidates = {_key(hint.structure): _of_btf(hint.structure) for hint in hints}
    for each in _named(name):
        candidates.update(_declared(reader, types, each))
    if search:
        found = _of_size(reader, types, object_size)
        if found is None and not candidates:
            return None
        candidates.update(list((found or {}).items())[:_CANDIDATES])
    some = [sample for sample in samples[:_SAMPLES] if sample]
    proposals: List[Proposal] = []
    for key, candidate in candidates.items():
        told = [hint for hint in hints if _key(hint.structure) == key]
        proposal = _judge(candidate, name, object_size, some, told)
        if proposal is not None:
            proposals.append(proposal)
    order = sorted(proposals, key=lambda found: (-found.score, found.struct))
    return order[:MOST]


class _Candidate(NamedTuple):
    """A structure to be compared with the objects."""

    name: str
    size: int
    members: Callable[[], List[Member]]
    structure: Optional[Structure]


_Key = Tuple[str, int, str]
"""(name, bytes, module) of a structure."""


def _key(found: Structure) -> _Key:
    return found.name, found.size, found.module


def _of_btf(found: Structure) -> _Candidate:
    return _Candidate(found.name, found.size, found.members, found)


def _of_host(reader: Reader, name: str) -> Iterator[Tuple[_Key, _Candidate]]:
    size = reader.struct_size(name)
    if size is not None:
        yield (name, size, ""), _Candidate(name, size, lambda: reader.members(name), None)


def _declared(
    reader: Reader, types: Optional[KernelTypes], name: str
) -> Iterator[Tuple[_Key, _Candidate]]:
    """The structures of a name; the host's, where the kernel doesn't tell."""
    found = [] if types is None else types.structs_named(name)
    yield from ((_key(each), _of_btf(each)) for each in found)
    if not found:
        yield from _of_host(reader, name)


def _of_size(
    reader: Reader, types: Optional[KernelTypes], object_size: int
) -> Optional[Dict[_Key, _Candidate]]:
    """The structures of a size; None where neither the kernel nor the host tells."""
    smallest = object_size if object_size % 8 else max(1, object_size - _ALIGNED)
    known: Dict[_Key, _Candidate] = {}
    if types:
        known = {_key(each): _of_btf(each) for each in types.structs_of_size(smallest, object_size)}
        files = reader.module_files() or {}
        if all(types.has_module(module) for module, loaded in files.items() if loaded):
            return known
    names = reader.structs_of_size(smallest, object_size)
    if names is None:
        return known if types else None
    here = {name for name, _, _ in known}
    for name in names:
        if name not in here:
            known.update(_of_host(reader, name))
    return known


def _judge(
    candidate: _Candidate,
    name: Optional[bytes],
    object_size: int,
    samples: Sequence[Sequence[Piece]],
    hints: Sequence[Hint],
) -> Optional[Proposal]:
    """The structure as a proposal; None where too little speaks for it."""
    struct, size = candidate.name, candidate.size
    reasons: List[str] = []
    against: List[str] = []
    score = 0.0
    if size == object_size:
        score += _SAME_SIZE
        reasons.append(f"has the objects' size, {size} bytes")
    elif size < object_size <= size + _ALIGNED:
        reasons.append(f"has {size} bytes, the objects' size is that rounded up")
    else:
        against.append(f"has {size} bytes, an object {object_size}")
    bonus, why = _likeness(name, struct)
    if bonus:
        reasons.append(why)
    for hint in hints:
        bonus += hint.weight
        reasons.append(hint.reason)
    score += bonus
    fits, misfits, speaking = _compare(candidate.members(), samples, reasons, against)
    if bonus < _CONTAINED and (not speaking or fits < _LEAST or misfits * 4 > fits):
        return None
    if misfits > fits and (bonus < _EQUAL or size != object_size):
        return None
    score = round(score + fits - 2 * misfits, 2)
    return Proposal(struct, size, score, reasons, against, candidate.structure)


# names --------------------------------------------------------------------------------


def _named(name: Optional[bytes]) -> Iterator[str]:
    """Structures that a cache of that name is likely for: dentry, task_struct, proc_inode_info."""
    text = (name or b"").decode("ascii", "replace")
    if not re.fullmatch(r"\w+", text, re.ASCII):
        text = re.sub(r"\W", "_", text, flags=re.ASCII)
    stem = re.sub(r"_?(?:cachep?|slab|pool)$", "", text)
    for base in dict.fromkeys((text, stem)):
        if base:
            yield base
            yield from (f"{base}_info", f"{base}_struct", f"{base}_obj")


def same_name(name: Optional[bytes], struct: str) -> bool:
    """Whether a structure and a cache have one name, as KMEM_CACHE() gives it."""
    return _likeness(name, struct)[0] == _EQUAL


def _likeness(name: Optional[bytes], struct: str) -> Tuple[float, str]:
    """How much a structure's name is a cache's, and in words."""
    text = (name or b"").decode("ascii", "replace")
    stem = re.sub(r"[_-]?(?:cachep?|slab|pool)$", "", text)
    mine, its = (re.sub(r"[^a-z0-9]", "", word.lower()) for word in (stem, struct))
    if not mine or not its:
        return 0.0, ""
    if mine == its:
        return _EQUAL, f"has the cache's name, {stem}"
    if min(len(mine), len(its)) >= 4 and (mine in its or its in mine):
        return _CONTAINED, f"its name goes with the cache's, {stem}"
    shared = _words(stem) & _words(struct)
    if shared:
        return _WORD_SHARED, f'has "{min(shared)}" in its name, as the cache has'
    return 0.0, ""


def _words(name: str) -> Set[str]:
    found = re.split(r"[^a-z0-9]+", name.lower())
    return {word for word in found if len(word) >= 4 and word not in _FILLERS}


# members ------------------------------------------------------------------------------


def _compare(
    members: List[Member],
    samples: Sequence[Sequence[Piece]],
    reasons: List[str],
    against: List[str],
) -> Tuple[float, float, bool]:
    """What the words count for and against a structure with these members.

    The third: whether any of them speaks for it by more than being a number. What was
    found goes to `reasons` and `against` in words.
    """
    if not members or not samples:
        return 0.0, 0.0, False
    counts: Dict[Tuple[str, bool], int] = {}
    fits = misfits = 0.0
    speaking = False
    for sample in samples:
        for piece in sample:
            verdict, text = _verdict(members, piece)
            if not verdict:
                continue
            counts[text, verdict > 0] = counts.get((text, verdict > 0), 0) + 1
            if verdict > 0:
                fits += verdict
                speaking = speaking or piece.kind in _SPEAKING
            else:
                misfits -= verdict
    for (text, good), count in counts.items():
        if text:
            of = f" in {count} of {plural(len(samples), 'object')}"
            (reasons if good else against).append(text + of)
    return fits / len(samples), misfits / len(samples), speaking


def _as_c(member: Member) -> str:
    """A member with its type, as C has it."""
    return f"{member.type}{'' if member.type.endswith('*') else ' '}{member.name}"


def _verdict(members: List[Member], piece: Piece) -> Tuple[float, str]:
    """What a piece counts, below 0 against the structure; and in words, if that's worth it."""
    at = [member for member in members if member.offset == piece.offset]
    over = [
        member
        for member in members
        if member.offset <= piece.offset < member.offset + max(1, member.size)
    ]
    where = f"at +{piece.offset:#x}"
    weight = _FITS.get(piece.kind, 0.0)
    if not over:
        if piece.kind in _SPEAKING:
            return -1.0, f"a {piece.kind} {where}, where it has no member"
        return 0.0, ""
    # The innermost: what lies in it is seen.
    leaf = over[-1]
    if piece.kind in _NODES:
        for member in over:
            # Of an array of nodes any element may be seen.
            within = (piece.offset - member.offset) % max(1, piece.size)
            if not within and member.type.split("[")[0] in _NODES[piece.kind]:
                return weight, f"{_as_c(member)} {where} is one"
        if any(member.is_pointer for member in at):
            return 0.0, ""  # next and prev of its own kind, as struct sk_buff has them
        if all(_is_scalar(member) for member in _leaves(over)):
            return -weight, f"a {piece.kind} {where}, where it has {_as_c(leaf)}"
        return 0.0, ""
    if piece.kind == POINTER:
        for member in at:
            if member.is_pointer:
                return weight, f"{_as_c(member)} {where} has an address"
        if any(member.size >= 8 or not _is_scalar(member) for member in _leaves(over)):
            return 0.0, ""
        return -weight, f"a pointer {where}, where it has {_as_c(leaf)}"
    if piece.kind == TEXT:
        for member in over:
            if _BYTES.fullmatch(member.type):
                return weight, f"{_as_c(member)} at +{member.offset:#x} has text"
        if any(member.is_pointer for member in _leaves(over)):
            return -weight, f"text {where}, where it has {_as_c(leaf)}"
        if all(_is_scalar(member) for member in _leaves(over)):
            return -weight / 2, f"text {where}, where it has {_as_c(leaf)}"
        return 0.0, ""
    if piece.kind == NUMBER:
        if any(member.type in nodes for member in at for nodes in _NODES.values()):
            return -2.0, f"a number {where}, where it has {_as_c(leaf)}"
        if at and all(member.is_pointer for member in _leaves(at)):
            return -1.0, f"a number {where}, where it has {_as_c(leaf)}"
        if any(_INTEGER.fullmatch(member.type) for member in over):
            return weight, ""
    return 0.0, ""


def _leaves(members: List[Member]) -> List[Member]:
    """Those that hold none of the others."""
    return [
        member
        for member in members
        if not any(
            other is not member
            and member.offset <= other.offset
            and other.offset + other.size <= member.offset + member.size
            and other.size < member.size
            for other in members
        )
    ]


def _is_scalar(member: Member) -> bool:
    """Whether no list node or pointer can be hidden in it: not so in a typedef of a struct."""
    if member.is_pointer or _BYTES.fullmatch(member.type):
        return True
    return bool(_INTEGER.fullmatch(re.sub(r"\[.*", "", member.type))) and (
        not member.type.endswith("_t") or member.size <= 8
    )
