# SPDX-License-Identifier: GPL-3.0-or-later
"""`make sentences`: lists each sentence that no test holds; status 1 if one isn't explained.

TESTS="FILE..." runs these in place of all unit tests, which take an hour of a busy machine.

First every literal gets a number that shows in what is printed: those that a golden line prints
are held, for golden files are compared to the last character. Then the unit tests run, each
once as it is, and again for each other literal that it made, with that one changed: if the
test fails then, it holds the literal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from time import process_time
from typing import Any, Dict, List, Sequence, Set

from tests.sentences.explained import EXPLAINED
from tests.sentences.literals import MARKS, ROOT, Sentence, Sentences

_TESTS = ("tests/unit", "tests/batch")
_SECONDS = 2.0
"""A test that takes longer is not run again."""


def printed_by_goldens() -> Dict[str, List[Any]]:
    """All literals met, and the numbers of those that golden lines print."""
    sentences = Sentences(marked=True)
    sentences.install()
    from mocks.image import NotRecorded
    from tests.golden import for_each_golden, printed

    seen: Set[int] = set()
    for folder, file in for_each_golden():
        try:
            text = printed(folder, file.name)
        except NotRecorded as error:
            # A marked text is another question, where it is one.
            print(f"{folder}/{file.name}: {error}", file=sys.stderr)
            continue
        seen |= {int(number) for number in MARKS.findall(text)}
    return {"all": list(sentences.all), "held": sorted(seen)}


def held_by_units(printed: Set[Sentence], tests: Sequence[str]) -> Dict[str, List[Any]]:
    """All literals met, and the numbers of those that no golden prints, and a test holds."""
    sentences = Sentences(marked=False)
    sentences.install()
    import pytest

    held: Set[int] = set()

    def fails(item: pytest.Item, changed: Sequence[int]) -> bool:
        sentences.changed = set(changed)
        try:
            item.runtest()
        except Exception:
            return True
        except pytest.fail.Exception:
            return True
        finally:
            sentences.changed = set()
        return False

    def find(item: pytest.Item, wanted: Sequence[int]) -> None:
        """Halves the literals until those are alone without which the test fails."""
        if not wanted or not fails(item, wanted):
            return
        if len(wanted) == 1:
            held.update(wanted)
            return
        half = len(wanted) // 2
        find(item, wanted[:half])
        find(item, wanted[half:])

    class Plugin:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_call(self, item: pytest.Item) -> Any:
            sentences.used.clear()
            begin = process_time()
            outcome = yield
            if outcome.excinfo is not None or process_time() - begin > _SECONDS:
                return
            wanted = sorted(
                number for number in sentences.used - held if sentences.all[number] not in printed
            )
            # Most tests hold none of them. One that can't be run twice says nothing.
            if wanted and fails(item, wanted) and not fails(item, ()):
                find(item, wanted)

    status = pytest.main(["-q", *tests], [Plugin()])
    assert status == pytest.ExitCode.OK, "the tests fail as they are"
    return {"all": list(sentences.all), "held": sorted(held)}


def _apart(*words: str) -> Dict[str, List[Any]]:
    """What a process of its own finds: each compiles the package in its own way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sentences", *words], cwd=ROOT, stdout=subprocess.PIPE
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode())
        sys.exit(done.returncode)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _chosen(found: Dict[str, List[Any]]) -> Set[Sentence]:
    return {Sentence(*found["all"][number]) for number in found["held"]}


def main(tests: Sequence[str]) -> int:
    """Judges; 1 if a sentence is neither held nor explained."""
    golden = _apart("goldens")
    everything = {Sentence(*each) for each in golden["all"]}
    held = _chosen(golden)
    units = _apart("units", json.dumps(sorted(everything - held)), *tests)
    everything |= {Sentence(*each) for each in units["all"]}
    held |= _chosen(units)
    unheld = sorted(everything - held)
    open_ = [each for each in unheld if (each.file, each.text) not in EXPLAINED]
    for file, line, text in open_:
        print(f"{file}:{line}: {text!r}")
    known = {(each.file, each.text) for each in unheld}
    stale = sorted(set(EXPLAINED) - known)
    for file, text in stale:
        print(f"{file}: explained, and held or gone: {text!r}")
    print(
        f"{len(everything)} sentences: {len(_chosen(golden))} printed by golden lines,"
        f" {len(_chosen(units))} held by unit tests, {len(unheld) - len(open_)} explained,"
        f" {len(open_)} open"
    )
    return 1 if open_ or stale else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["goldens"]:
        print(json.dumps(printed_by_goldens()))
    elif sys.argv[1:2] == ["units"]:
        wanted = {Sentence(*each) for each in json.loads(sys.argv[2])}
        print(json.dumps(held_by_units(wanted, sys.argv[3:])))
    else:
        sys.exit(main(sys.argv[1:] or _TESTS))
