# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the commands on the lab's big dump: `make bench`.

    python -m tests.bench [--commit] [--readme] [--largest]

--commit keeps the ratios in ratios.json, to be compared with next time; --readme writes the
table into BENCH.md beside this file, and the ratios that matter most into README.md, between
their marks; --largest also measures ten million objects: a built image (minutes, some 2 GB) and
the dump of a guest with 12 GB (20 GB of disk while it is made). Exit status 1 if a target is
missed, 2: usage.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Dict, Sequence

from tests.marked import write_marked

from . import growth, large, session, table
from .peer import drgn_version

README = Path(__file__).resolve().parents[2] / "README.md"
RATIOS = Path(__file__).with_name("ratios.json")
TABLE = Path(__file__).with_name("BENCH.md")
MARK = "make bench README=yes"


def main(words: Sequence[str]) -> int:
    """Measure, print, keep. Exit status."""
    if set(words) - {"--commit", "--readme", "--largest"}:
        print(__doc__, file=sys.stderr)
        return 2
    sizes = [*growth.SIZES, *([growth.LARGEST] if "--largest" in words else [])]
    with tempfile.TemporaryDirectory(prefix="slableak-bench-") as folder:
        grown = growth.grow(sizes, str(Path(folder) / "out"))
    of = session.subject()
    got = session.measure(of)
    rows = table.rows(of, got, grown)
    if "--largest" in words:
        rows += table.large_rows(large.measure(), large.interrupted())
    committed: Dict[str, float] = {}
    if RATIOS.exists():
        committed = json.loads(RATIOS.read_text(encoding="utf-8"))
    head = (
        f"{of.objects} allocated objects in {got.slabs} slabs, kernel {of.dump.kernel},"
        f" dump as {session.FORM},"
        f" crash {session.CRASH}, Python {sys.version.split()[0]}, drgn {drgn_version()};"
        f" medians of {session.ROUNDS} rounds, seconds, ratios of CPU time"
    )
    print(head, *table.lines(rows, committed), sep="\n")
    if "--commit" in words:
        kept = {row.key: round(row.ratio, 3) for row in rows if row.ratio is not None}
        RATIOS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if "--readme" in words:
        write_marked(TABLE, MARK, [head + ".", "", *table.markdown(rows)])
        write_marked(README, MARK, table.markdown(row for row in rows if row.key in table.TELLING))
    missed = [row.what for row in rows if row.met == "no"]
    print(f"{len(missed)} targets missed" + "".join(f"\n  {what}" for what in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
