# SPDX-License-Identifier: GPL-3.0-or-later
"""`make sentences`: lists each sentence that no test holds; status 1 if one isn't explained.

TESTS="FILE..." runs these in place of all unit tests. All take two minutes of two cores.

First every literal gets a number that shows in what is printed: those that a golden line prints
are held, for golden files are compared to the last character. Then the unit tests run, each
once as it is, and again with all of the other literals that it made changed. If it passes then,
it holds none of them, and most do; if it fails, halves of them are changed, halves of these and
so on until those are alone that it holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from time import process_time
from typing import Any, Dict, List, Sequence, Set

from tests.sentences.explained import EXPLAINED
from tests.sentences.literals import MARKS, ROOT, Sentence, Sentences

_TESTS = ("tests/unit", "tests/batch/test_merge.py")
"""The other ones of tests/batch run in a crash, where no literal can be changed."""
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


def _apart(given: object, *words: str) -> Dict[str, List[Any]]:
    """What a process of its own finds: each compiles the package in its own way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sentences", *words],
        cwd=ROOT,
        input=json.dumps(given).encode(),
        stdout=subprocess.PIPE,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode())
        sys.exit(done.returncode)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _chosen(found: Dict[str, List[Any]]) -> Set[Sentence]:
    return {Sentence(*found["all"][number]) for number in found["held"]}


def _dealt(tests: Sequence[str]) -> List[List[str]]:
    """The files of tests in as many hands as there are CPUs, the largest first."""
    paths = [ROOT / test for test in tests]
    files = [
        file for path in paths for file in (path.glob("test_*.py") if path.is_dir() else [path])
    ]
    files.sort(key=lambda file: file.stat().st_size, reverse=True)
    hands = os.cpu_count() or 1
    return [[str(file) for file in files[hand::hands]] for hand in range(hands)]


def main(tests: Sequence[str]) -> int:
    """Judges; 1 if a sentence is neither held nor explained."""
    golden = _apart(None, "goldens")
    everything = {Sentence(*each) for each in golden["all"]}
    printed = _chosen(golden)
    hands = [hand for hand in _dealt(tests) if hand]
    with ThreadPoolExecutor(len(hands)) as pool:
        units = list(pool.map(lambda hand: _apart(sorted(printed), "units", *hand), hands))
    by_units: Set[Sentence] = set().union(*map(_chosen, units))
    everything |= {Sentence(*each) for found in units for each in found["all"]}
    held = printed | by_units
    unheld = sorted(everything - held)
    open_ = [each for each in unheld if (each.file, each.text) not in EXPLAINED]
    for file, line, text in open_:
        print(f"{file}:{line}: {text!r}")
    known = {(each.file, each.text) for each in unheld}
    stale = sorted(set(EXPLAINED) - known)
    for file, text in stale:
        print(f"{file}: explained, and held or gone: {text!r}")
    print(
        f"{len(everything)} sentences: {len(printed)} printed by golden lines,"
        f" {len(by_units)} held by unit tests, {len(unheld) - len(open_)} explained,"
        f" {len(open_)} open"
    )
    return 1 if open_ or stale else 0


def _answer(found: Dict[str, List[Any]]) -> None:
    """Hands it to the process that asks. A test that was made to fail may have left threads."""
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["goldens"]:
        _answer(printed_by_goldens())
    elif sys.argv[1:2] == ["units"]:
        _answer(held_by_units({Sentence(*each) for each in json.load(sys.stdin)}, sys.argv[2:]))
    else:
        sys.exit(main(sys.argv[1:] or _TESTS))
