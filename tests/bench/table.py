# SPDX-License-Identifier: GPL-3.0-or-later
"""From the measured times to one table of ratios, with targets. Runs nothing.

Ratios are of CPU time (user and system): every contender is one thread that computes, the
dump is in the page cache, and a busy machine stretches wall time by as much as it likes.
On an idle one both are the same. Targets in seconds are judged by CPU time, too.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from .large import Sized
from .session import LOOP, OBJECTS_SAMPLED, QUIET, SLABS_SAMPLED, Measured, Record, Subject

HEAD = ("WHAT", "WALL", "CPU", "RATIO", "SPREAD", "OF", "TARGET", "MET", "COMMITTED", "MEMORY")
LEFT = (0, 5)
"""Columns aligned to the left."""

TELLING = ("quiet", "drgn", "contents", "search", "slabdup")
"""Keys of the rows that README has."""

_SHELL = 0.3
"""Of 1.4 s on drgn 0.6 are libkdumpfile's, which decompresses, and 0.4 drgn's own: it is
imported, opens the dump and indexes vmlinux. 0.4 are left to shorten, of crash's 5.1."""

WINDOW = 8 << 20
"""Bytes that the pass may have beside what it has for each object: pieces of memory, edges."""

_PAGE = 4096
"""Bytes of each page that is sampled."""

MEGABYTE = 1024
"""KiB."""


class Row(NamedTuple):
    """One line of the table. Times are seconds, medians of the rounds."""

    key: str
    """What ratios.json calls it."""
    what: str
    wall: Optional[float] = None
    cpu: Optional[float] = None
    ratios: Sequence[float] = ()
    """One a round."""
    of: str = ""
    """What the ratio is of; "s", "MB" or "bytes": it is no ratio but so many of these."""
    most: Optional[float] = None
    """The target: at most so much."""
    least: Optional[float] = None
    peak: Optional[float] = None
    """MB above what the process held before."""

    @property
    def ratio(self) -> Optional[float]:
        """The median."""
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> str:
        """yes, no, or nothing where there's no target."""
        if self.ratio is None or (self.most is None and self.least is None):
            return ""
        above = self.most is None or self.ratio <= self.most
        below = self.least is None or self.ratio >= self.least
        return "yes" if above and below else "no"

    def cells(self, committed: Optional[float]) -> List[str]:
        """The texts under HEAD; committed: the ratio that was kept."""
        spread = f"{min(self.ratios):.3g}-{max(self.ratios):.3g}" if len(self.ratios) > 1 else ""
        target = f"<= {self.most:g}" if self.most is not None else ""
        if self.least is not None:
            target = f">= {self.least:g}"
        return [
            self.what, _number(self.wall), _number(self.cpu), _number(self.ratio), spread,
            self.of, target, self.met, _number(committed),
            "" if self.peak is None else f"{self.peak:.0f} MB",
        ]  # fmt: skip


def _number(value: Optional[float]) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


class _Series(NamedTuple):
    """One contender's rounds, each times a factor where it was only a sample."""

    wall: List[float]
    cpu: List[float]

    def per(self, other: _Series) -> List[float]:
        return [mine / theirs for mine, theirs in zip(self.cpu, other.cpu)]

    def minus(self, other: _Series) -> _Series:
        return _Series(
            [mine - theirs for mine, theirs in zip(self.wall, other.wall)],
            [mine - theirs for mine, theirs in zip(self.cpu, other.cpu)],
        )


def _series(records: Iterable[Record], factor: float = 1) -> _Series:
    kept = list(records)
    return _Series([r["wall"] * factor for r in kept], [r["cpu"] * factor for r in kept])


def _row(key: str, what: str, mine: _Series, **more: Any) -> Row:
    return Row(key, what, median(mine.wall), median(mine.cpu))._replace(**more)


def rows(of: Subject, got: Measured, growth: Dict[int, List[Dict[str, float]]]) -> List[Row]:
    """The table's rows, in its order."""
    times = got.rounds
    per_slab = got.slabs / SLABS_SAMPLED
    per_object = of.objects / OBJECTS_SAMPLED
    floor, quiet = _series(times["floor"]), _series(times["slabobjs -q"])
    contents, drgn = _series(times["slabobjs"]), _series(times["drgn"])
    first, ten = _series(times["first slab"]), _series(times["slabobjs -l 10"])
    pages = _series(times["pages"])
    scan = _series(times["small -R"]).minus(_series(times["small"]))
    dup, dup_all = _series(times["slabdup"]), _series(times["slabdup -a"])
    dup_scan = _series(times["slabdup -aR"])
    memory, search = _series(times["memory"]), _series(times["search"])
    reach, lost = _series(times["reach"]), _series(times["slablost -R"])
    searched = times["search"][0]["bytes"]
    words = _series(times["drgn words"], searched / (SLABS_SAMPLED * _PAGE))
    in_crash, on_drgn = _series(got.shell["crash"]), _series(got.shell["drgn"])
    kmem = _series(times["kmem -S"], per_slab)
    rd_object = _series(times["rd object"], per_object)
    rd_slab = _series(times["rd slab"], per_slab)
    peak = {
        name[len("fresh ") :]: max(record["peak"] for record in records) / MEGABYTE
        for name, records in got.fresh.items()
        if name.startswith("fresh ")
    }
    helped = bool(times["helpers"][0]["native"])
    extend = _series(got.fresh["extend"])
    new_quiet = _series(got.fresh["fresh slabobjs -q"])
    new_dup = _series(got.fresh["fresh slabdup"])
    found = [
        _row("floor", "floor: read the bytes of each slab", floor),
        _row(
            "quiet", "slabobjs -q, native helper" if helped else "slabobjs -q, pure Python",
            quiet, ratios=quiet.per(floor), of="floor", most=1.6 if helped else 4.0,
            peak=peak["slabobjs -q"],
        ),
    ]  # fmt: skip
    if got.pure:
        own, pure = _series(got.pure["floor"]), _series(got.pure["slabobjs -q"])
        ratios = pure.per(own)
        found.append(
            _row("pure", "slabobjs -q, pure Python", pure, ratios=ratios, of="floor", most=4.0)
        )
        # Their sessions differ; the floor of each is what both are measured by.
        found.append(
            Row("drgn-pure", "drgn, pure Python's multiple", ratios=[
                theirs / mine for theirs, mine in zip(drgn.per(floor), ratios)
            ], of="slabobjs -q, pure Python", least=5.0)
        )  # fmt: skip
        found += _pure_rows(got.pure, pure)
    found += [
        _row(
            "drgn", "drgn: its own loop", drgn, ratios=drgn.per(quiet), of="slabobjs -q",
            least=10.0 if helped else 5.0,
            peak=max(record["peak"] for record in times["drgn"]) / MEGABYTE,
        ),
        *_other_forms(got.others),
        _row("kmem", f"crash's kmem, slab by slab: {SLABS_SAMPLED} sampled, extrapolated", kmem,
             ratios=kmem.per(quiet), of="slabobjs -q"),
        Row("memory", "slabobjs -q, memory", ratios=[peak["slabobjs -q"]], of="MB", most=150.0),
        _row("contents", "slabobjs: contents", contents, ratios=contents.per(quiet),
             of="slabobjs -q", most=6.0, peak=peak["slabobjs"]),
        _row("rd", f"rd OBJECT, {OBJECTS_SAMPLED} sampled, extrapolated", rd_object,
             ratios=rd_object.per(contents), of="slabobjs", least=10.0),
        _row("rd-slab", f"rd SLAB, {SLABS_SAMPLED} sampled, extrapolated", rd_slab,
             ratios=rd_slab.per(contents), of="slabobjs"),
        _row("first", "first slab on the screen", first, ratios=first.cpu, of="s", most=0.2),
        _row("ten", "slabobjs -l 10", ten, ratios=ten.cpu, of="s", most=0.2,
             peak=peak["slabobjs -l 10"]),
        _row("pages", "floor: read the page structures", pages),
        _row("scan", "page scan (slabobjs -qR less -q)", scan, ratios=scan.per(pages),
             of="page structures", most=1.3),
        _row("memory-read", "floor: read all memory", memory),
        _row("search", f"who points to {of.objects} objects", search, ratios=search.per(memory),
             of="all memory", most=2.0),
        _row("reach", "who reaches each object: the pass by itself", reach,
             ratios=reach.per(memory), of="all memory", most=2.5),
        Row("reach-memory", f"the pass, memory an object beside {WINDOW >> 20} MB", ratios=[
            (record["peak"] * 1024 - WINDOW) / record["objects"] for record in times["reach"]
        ], of="bytes", most=24.0),
        _row("drgn-words", f"drgn: slab_object_info() of each word, {SLABS_SAMPLED} pages sampled,"
             " extrapolated", words, ratios=words.per(reach), of="the pass"),
        # Memory is read twice: for pointers (1.9 times reading it, as `reach` has it), and for
        # handles of what these don't lead to; then a million addresses are sorted and written.
        _row("lost", "slablost -R, each of the objects lost", lost, ratios=lost.per(memory),
             of="all memory", most=4.5),
        _row("shell-crash", "slabobjs -q from the shell, in crash", in_crash),
        _row("shell-drgn", "slabobjs -q from the shell, on drgn", on_drgn,
             ratios=on_drgn.per(in_crash), of="in crash", most=_SHELL),
        *_host_rows(got.host, quiet, contents, dup),
        _row("slabdup", "slabdup", dup, ratios=dup.cpu, of="s", most=1.0, peak=peak["slabdup"]),
        _row("slabdup-a", "slabdup -a", dup_all, ratios=dup_all.cpu, of="s", most=1.0,
             peak=peak["slabdup -a"]),
        _row("slabdup-aR", "slabdup -aR (with a new page scan)", dup_scan, ratios=dup_scan.cpu,
             of="s", most=1.0),
        _row("slabdup-new", "slabdup, first in a session", new_dup, ratios=new_dup.cpu, of="s",
             most=1.0),
        _row("quiet-new", "slabobjs -q, first in a session", new_quiet,
             ratios=[new_quiet.cpu[0] / (median(floor.cpu) + median(pages.cpu))],
             of="both floors"),
        _row("extend", "extend slableak.py", extend, ratios=extend.cpu, of="s", most=0.3),
    ]  # fmt: skip
    return found + list(_growth_rows(growth))


def _host_rows(
    times: Dict[str, List[Record]], quiet: _Series, contents: _Series, dup: _Series
) -> Iterable[Row]:
    """drgn as host, beside what only reading takes there, drgn's own loop, and crash as host."""
    floor, listed = _series(times["on drgn: floor"]), _series(times[QUIET])
    yield _row("host-floor", "on drgn: floor", floor, ratios=floor.per(quiet),
               of="slabobjs -q in crash")  # fmt: skip
    yield _row("host-quiet", QUIET, listed, ratios=listed.per(floor), of="floor there", most=1.6)
    loop = _series(times[LOOP])
    yield _row("host-loop", LOOP, loop, ratios=loop.per(listed), of="slabobjs -q there", least=3.5)
    for key, name, crash in (
        ("host-crash", "slabobjs -q", quiet),
        ("host-contents", "slabobjs", contents),
        ("host-slabdup", "slabdup", dup),
    ):
        mine = _series(times[f"on drgn: {name}"])
        yield _row(key, f"on drgn: {name}, beside crash", mine, ratios=mine.per(crash),
                   of=f"{name} in crash")  # fmt: skip


def _pure_rows(times: Dict[str, List[Record]], quiet: _Series) -> Iterable[Row]:
    """What else was measured without the loader's helper."""
    contents, dup = _series(times["slabobjs"]), _series(times["slabdup"])
    memory, search = _series(times["memory"]), _series(times["search"])
    yield _row("contents-pure", "slabobjs: contents, pure Python", contents,
               ratios=contents.per(quiet), of="slabobjs -q, pure Python", most=6.0)  # fmt: skip
    yield _row("slabdup-pure", "slabdup, pure Python", dup, ratios=dup.cpu, of="s", most=1.0)
    yield _row("search-pure", "who points to the objects, pure Python", search,
               ratios=search.per(memory), of="all memory", most=2.0)  # fmt: skip


def _other_forms(others: Dict[str, Dict[str, List[Record]]]) -> Iterable[Row]:
    """The same dump with pages compressed otherwise."""
    for form, times in others.items():
        floor, quiet = _series(times["floor"]), _series(times["slabobjs -q"])
        yield _row(f"quiet-{form}", f"dump as {form}: slabobjs -q", quiet,
                   ratios=quiet.per(floor), of="floor")  # fmt: skip
        drgn = _series(times["drgn"])
        yield _row(f"drgn-{form}", f"dump as {form}: drgn", drgn,
                   ratios=drgn.per(quiet), of="slabobjs -q")  # fmt: skip


def _growth_rows(growth: Dict[int, List[Dict[str, float]]]) -> Iterable[Row]:
    smallest = 0.0
    for size, records in growth.items():
        per_object = [1e6 * record["cpu"] / size for record in records]
        one = median(per_object)
        smallest = smallest or one
        yield Row(
            f"growth-{size}",
            f"built image, {size} objects: {one:.2f} us an object",
            median(record["wall"] for record in records),
            median(record["cpu"] for record in records),
            [value / smallest for value in per_object],
            f"that of {next(iter(growth))}",
            None if one == smallest else 1.2,
            peak=max(record["peak"] for record in records) / MEGABYTE,
        )


_UNITS = {
    "slabdup -a": "byte", "search": "byte",
    "slabobjs -q": "listed", "reach": "object", "slablost -q": "object", "slabwhy": "object",
}  # fmt: skip
"""What is measured on the large dump -> what its time is divided by."""


def large_rows(sized: Sequence[Sized], interrupted: Sequence[float]) -> Iterable[Row]:
    """What a larger dump costs: an object, or a GB searched, beside the smaller dump.

    interrupted: seconds from Ctrl-C during slablost to the prompt, of several tries.
    """
    small, large = sized
    per = {
        "byte": [each.bytes / 1e9 for each in sized],
        "listed": [each.listed / 1e6 for each in sized],
        "object": [each.objects / 1e6 for each in sized],
    }
    size = f"{large.objects} objects, {large.bytes >> 20} MB searched"
    for name, unit in _UNITS.items():
        one, other = (each.times[name]["cpu"] / number for each, number in zip(sized, per[unit]))
        what = f"{size}: {name}, {other:.2f} s a {'GB' if unit == 'byte' else 'million objects'}"
        record = large.times[name]
        yield Row(
            f"large-{name}", what, record["wall"], record["cpu"], [other / one],
            f"that of {small.objects}", 1.5, peak=record["peak"] / MEGABYTE,
        )  # fmt: skip
    own = [each.times["reach"]["cpu"] / each.times["memory"]["cpu"] for each in sized]
    yield Row("large-pass", f"{size}: the pass", ratios=[own[1]], of="all memory", most=2.5)
    yield Row("large-ctrl-c", f"{size}: Ctrl-C to prompt, slablost", ratios=[max(interrupted)],
              of="s", most=0.3)  # fmt: skip


def lines(found: Sequence[Row], committed: Dict[str, float]) -> List[str]:
    """The table as text."""
    table = [list(HEAD)] + [row.cells(committed.get(row.key)) for row in found]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if column in LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in table
    ]


def markdown(found: Iterable[Row]) -> List[str]:
    """The table for a reader, without the columns that only a developer needs."""
    shown = [column for column, head in enumerate(HEAD) if head not in ("WALL", "COMMITTED")]
    table = ["| " + " | ".join(HEAD[column].lower() for column in shown) + " |"]
    table.append("|" + "|".join("---" if column in LEFT else "---:" for column in shown) + "|")
    for row in found:
        cells = row.cells(None)
        table.append("| " + " | ".join(cells[column] for column in shown) + " |")
    return table
