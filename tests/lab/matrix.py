# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kernel, every scenario, every host, judged: `make test-matrix`, `make test-arch`.

    python -m tests.lab.matrix [--readme|--arch] [KERNEL|SCENARIO|HOST]...

--arch: the kernels of other architectures instead, where their machines can do the scenario.
A host is a release of crash, or drgn. One row a run of it; what was wrong stands below its
row. Words narrow it down: 6.1 leak 9.0.2. Goes on after a failure; what can't be made or run is
a failure with its reason. --readme also writes the table into MATRIX.md beside this file, and a
line a kernel into README.md, between their marks; not for a part of the matrix. Exit status 1
if anything failed, 2: usage.

`all` is left out: it is other scenarios over again, in one boot.
"""

from __future__ import annotations

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from tests.marked import read_marked, write_marked

from . import FOREIGN, KERNELS, SCENARIOS, crashes_for, dump
from .judge import judge
from .kernels import Kernel
from .session import DRGN

README = Path(__file__).resolve().parents[2] / "README.md"
TABLE = Path(__file__).with_name("MATRIX.md")
MARK = "make test-matrix README=yes"
HEAD = ("KERNEL", "SCENARIO", "HOST", "CACHES", "OBJECTS", "MISSING", "EXTRA")

_FORMAT = "{:10}  {:8}  {:5}  {:>7}  {:>15}  {:>7}  {:>5}"
_SHOWN = 8
"""Addresses of a failure that are printed."""
_JOBS = 2
"""Runs side by side: one takes one CPU and up to a gigabyte."""


@dataclass(frozen=True)
class Run:
    """One kernel's dump of a scenario on one host."""

    kernel: str
    scenario: str
    host: str
    """A release of crash, or drgn."""


@dataclass
class Result:
    """What came of a run. Pairs: (right, of how many)."""

    run: Run
    package: str = "?"
    """Version of the kernel's package, as the kernel itself tells it."""
    caches: Tuple[int, int] = (0, 0)
    objects: Tuple[int, int] = (0, 0)
    missing: int = 0
    extra: int = 0
    failures: List[str] = field(default_factory=list)
    """What was wrong, a line each."""

    def cells(self) -> List[str]:
        """The row under HEAD."""
        run, (caches, all_caches), (objects, all_objects) = self.run, self.caches, self.objects
        return [
            *(run.kernel, run.scenario, run.host),
            *(f"{caches}/{all_caches}", f"{objects}/{all_objects}"),
            *(str(self.missing), str(self.extra)),
        ]


def runs(words: Sequence[str] = (), table: Mapping[str, Kernel] = KERNELS) -> List[Run]:
    """The matrix of a table's kernels, or the part of it that the words leave."""
    return [
        Run(kernel, scenario, host)
        for kernel, row in table.items()
        for scenario, setup in SCENARIOS.items()
        for host in [*crashes_for(kernel), DRGN]
        if scenario != "all" and setup.nodes <= row.arch.nodes
        if all(word in (kernel, scenario, host) for word in words)
    ]


def try_run(run: Run) -> Result:
    """Judge one run; no exception but those that end the program comes out."""
    result = Result(run)
    try:
        specimen = dump(run.kernel, run.scenario)
        found = re.search(r"Linux version .*Debian (\S+)", specimen.log)
        result.package = found.group(1) if found else "?"
        verdict = judge(specimen, run.host)
    except Exception as error:
        # Whatever went wrong is this run's failure, not the end of the others.
        result.failures.append(f"{type(error).__name__}: {error}")
        return result
    caches = sum(len(roles) for roles in specimen.truth["caches"].values())
    result.caches = verdict.caches, caches
    result.objects = verdict.objects, verdict.objects + len(verdict.missing)
    result.missing, result.extra = len(verdict.missing), len(verdict.extra)
    result.failures += [f"cache {text}" for text in verdict.wrong_caches]
    for what in ("missing", "extra", "wrong_contents"):
        addresses = sorted(getattr(verdict, what))
        if addresses:
            more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
            said = what.replace("_", " ")
            result.failures.append(f"{said}: {' '.join(addresses[:_SHOWN])}{more}")
    result.failures += [f"problem: {text}" for text in verdict.problems]
    if not result.objects[1]:
        result.failures.append("the module's account lists no allocated object")
    return result


def markdown(results: Iterable[Result]) -> Iterator[str]:
    """The table in Markdown; hosts that agree on a dump share a row."""
    rows: List[List[str]] = []
    for result in results:
        cells = result.cells()
        if result.failures:
            cells[-1] += " **failed**"
        if rows and rows[-1][:2] + rows[-1][3:] == cells[:2] + cells[3:]:
            rows[-1][2] += ", " + cells[2]
        else:
            rows.append(cells)
    yield "| " + " | ".join(word.lower() for word in HEAD) + " |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for cells in rows:
        yield "| " + " | ".join(cells) + " |"


def by_kernel(results: Iterable[Result]) -> Iterator[str]:
    """One row a kernel in Markdown: the sums of its runs."""
    kernels: Dict[str, List[Result]] = {}
    for result in results:
        kernels.setdefault(result.run.kernel, []).append(result)
    yield "| kernel | package | host | runs | objects told right | missing | extra |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for kernel, own in kernels.items():
        right, of = (sum(result.objects[part] for result in own) for part in (0, 1))
        cells = [
            kernel,
            ", ".join(dict.fromkeys(result.package for result in own)),
            ", ".join(dict.fromkeys(result.run.host for result in own)),
            str(len(own)),
            f"{right}/{of}",
            str(sum(result.missing for result in own)),
            str(sum(result.extra for result in own)),
        ]
        yield "| " + " | ".join(cells) + " |"


def keep(table: Path, readme: Path, results: Sequence[Result], summary: str) -> None:
    """Write both tables. ValueError if a file lacks its marks; then neither is written."""
    for file in (table, readme):
        if not read_marked(file, MARK):
            raise ValueError(f"{file} lacks the marks of {MARK}")
    packages = ", ".join(dict.fromkeys(result.package for result in results))
    closing = f"{summary}. Kernel packages: {packages}."
    write_marked(table, MARK, [*markdown(results), "", closing])
    write_marked(readme, MARK, by_kernel(results))


def main(words: Sequence[str], table: Path = TABLE, readme: Path = README) -> int:
    """Runs the matrix, or the part that the words leave. Exit status."""
    narrowed = [word for word in words if word not in ("--readme", "--arch")]
    todo = runs(narrowed, FOREIGN if "--arch" in words else KERNELS)
    if not todo or ("--readme" in words and len(words) > 1):
        print(__doc__, file=sys.stderr)
        return 2
    start = time.monotonic()
    print(_FORMAT.format(*HEAD), flush=True)
    results: List[Result] = []
    with ThreadPoolExecutor(_JOBS) as pool:
        for result in pool.map(try_run, todo):
            results.append(result)
            mark = "  failed" if result.failures else ""
            print(_FORMAT.format(*result.cells()) + mark, flush=True)
            for failure in result.failures:
                print("    " + failure.replace("\n", "\n    "), flush=True)
    failed = sum(1 for result in results if result.failures)
    summary = f"{len(results) - failed} passed, {failed} failed"
    print(f"{summary} in {time.monotonic() - start:.0f} s")
    if "--readme" in words:
        keep(table, readme, results, summary)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
