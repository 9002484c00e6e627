# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix: what counts as a failure, that it goes on behind one, what README gets.

And as much of it in real crash as each commit can wait for: many scenarios in one boot of
each kernel, in the newest crash that opens it.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Tuple

import pytest

from tests.lab import FOREIGN, KERNELS, SCENARIOS, Unavailable, crashes_for, matrix
from tests.lab.judge import Verdict
from tests.lab.session import DRGN
from tests.marked import marks, read_marked

RIGHT = Verdict(caches=2, objects=5)


@pytest.fixture(name="verdicts")
def fixture_verdicts(monkeypatch: pytest.MonkeyPatch) -> Dict[str, Any]:
    """Kernel -> its verdict in every run, or the exception that ends it. No crash runs."""
    verdicts: Dict[str, Any] = dict.fromkeys(KERNELS, RIGHT)
    truth: Dict[str, Any] = {"caches": {"slab_test": {"live": {}, "leftover": {}}}}

    def dump(kernel: str, scenario: str) -> SimpleNamespace:
        log = f"[0.0] Linux version {kernel}.0-cloud (gcc) #1 SMP Debian {kernel}.7-1 (2026-01-01)"
        return SimpleNamespace(kernel=kernel, scenario=scenario, log=log, truth=truth)

    def judge(specimen: SimpleNamespace, _version: str) -> Verdict:
        verdict = verdicts[specimen.kernel]
        if isinstance(verdict, Exception):
            raise verdict
        assert isinstance(verdict, Verdict)
        return verdict

    monkeypatch.setattr(matrix, "dump", dump)
    monkeypatch.setattr(matrix, "judge", judge)
    return verdicts


def lines(capsys: pytest.CaptureFixture[str]) -> List[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("verdicts")
def test_all_right_is_one_row_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main([]) == 0
    head, *rows, last = lines(capsys)
    assert tuple(head.split()) == matrix.HEAD
    assert len(rows) == len(matrix.runs()) == len(set(rows))
    assert {row.split()[1] for row in rows} == set(SCENARIOS) - {"all"}
    assert rows[0].split() == ["5.10", "leak", "7.2.9", "2/2", "5/5", "0", "0"]
    assert last.startswith(f"{len(rows)} passed, 0 failed in ")


@pytest.mark.parametrize(
    ("verdict", "row", "reason"),
    [
        (Verdict(2, 4, missing={"aa"}), "2/2 4/5 1 0 failed", "missing: aa"),
        (Verdict(2, 5, extra={"cc", "bb"}), "2/2 5/5 0 2 failed", "extra: bb cc"),
        (Verdict(1, 5, wrong_caches=["aa: no"]), "1/2 5/5 0 0 failed", "cache aa: no"),
        (Verdict(2, 5, wrong_contents={"aa"}), "2/2 5/5 0 0 failed", "wrong contents: aa"),
        (Verdict(2, 5, problems=["odd"]), "2/2 5/5 0 0 failed", "problem: odd"),
        (Verdict(2, 0), "2/2 0/0 0 0 failed", "the module's account lists no allocated object"),
        (Unavailable("gone"), "0/0 0/0 0 0 failed", "Unavailable: gone"),
        (AssertionError("twice"), "0/0 0/0 0 0 failed", "AssertionError: twice"),
    ],
)
def test_what_is_wrong_fails_with_its_reason_and_the_rest_goes_on(
    verdicts: Dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    verdict: object,
    row: str,
    reason: str,
) -> None:
    verdicts["6.1"] = verdict
    assert matrix.main(["leak"]) == 1
    said = lines(capsys)
    first = next(number for number, line in enumerate(said) if line.startswith("6.1 "))
    assert said[first].split()[3:] == row.split()
    assert said[first + 1] == f"    {reason}"
    assert [line for line in said if line.startswith("7.3 ")]
    assert said[-1].startswith("10 passed, 3 failed in ")


def test_many_addresses_are_counted(
    verdicts: Dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts["6.1"] = Verdict(2, 5, missing={f"{n:x}" for n in range(100, 120)})
    assert matrix.main(["leak", "6.1", "9.0.2"]) == 1
    assert lines(capsys)[2] == "    missing: 64 65 66 67 68 69 6a 6b and 12 more"


@pytest.fixture
def files(tmp_path: Path) -> Tuple[Path, Path]:
    """A table's file and a README, both with marks."""
    begin, end = marks(matrix.MARK)
    for name in ("MATRIX.md", "README.md"):
        (tmp_path / name).write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    return tmp_path / "MATRIX.md", tmp_path / "README.md"


def test_the_table_and_readme_s_summary_are_kept_between_their_marks(
    verdicts: Dict[str, Any], files: Tuple[Path, Path]
) -> None:
    verdicts["7.3"] = Unavailable("gone")
    assert matrix.main(["--readme"], *files) == 1
    before, begin, *table, packages, end, after = files[0].read_text().splitlines()
    assert (before, (begin, end), after) == ("before", marks(matrix.MARK), "after")
    assert table[0] == "| kernel | scenario | host | caches | objects | missing | extra |"
    assert table[2] == "| 5.10 | leak | 7.2.9, 8.0.2, 9.0.2, drgn | 2/2 | 5/5 | 0 | 0 |"
    assert any(line.startswith("| 7.3 | leak |") and "**failed**" in line for line in table)
    assert packages.endswith("Kernel packages: 5.10.7-1, 6.1.7-1, 6.12.7-1, 7.3.7-1.")
    summary = read_marked(files[1], matrix.MARK).splitlines()
    runs = sum(run.kernel == "5.10" for run in matrix.runs())
    right = f"{5 * runs}/{5 * runs}"
    row = f"| 5.10 | 5.10.7-1 | 7.2.9, 8.0.2, 9.0.2, drgn | {runs} | {right} | 0 | 0 |"
    assert summary[3] == row


@pytest.mark.usefixtures("verdicts")
@pytest.mark.parametrize(
    "words", [["nosuch"], ["--readme", "leak"], ["leak", "rcu"], ["--readme", "--arch"]]
)
def test_what_cannot_be_meant_is_refused(words: List[str], tmp_path: Path) -> None:
    assert matrix.main(words, tmp_path / "MATRIX.md", tmp_path / "README.md") == 2


@pytest.mark.usefixtures("verdicts")
def test_files_without_marks_are_left_alone(files: Tuple[Path, Path]) -> None:
    kept = files[0].read_text()
    files[1].write_text("nothing\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        matrix.main(["--readme"], *files)
    assert [file.read_text() for file in files] == [kept, "nothing\n"]


@pytest.mark.parametrize("on_drgn", [False, True], ids=["crash", "drgn"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_told_as_the_module_tells(kernel: str, on_drgn: bool) -> None:
    host = DRGN if on_drgn else crashes_for(kernel)[-1]
    result = matrix.try_run(matrix.Run(kernel, "all", host))
    assert result.failures == []
    assert result.objects[0] > 2000


def test_other_architectures_have_a_matrix_of_their_own(
    verdicts: Dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts.update(dict.fromkeys(FOREIGN, RIGHT))
    assert matrix.main(["--arch"]) == 0
    rows = [row.split() for row in lines(capsys)[1:-1]]
    assert {row[0] for row in rows} == set(FOREIGN)
    two_nodes = {name for name, setup in SCENARIOS.items() if setup.nodes > 1}
    for kernel, row in FOREIGN.items():
        tried = {row[1] for row in rows if row[0] == kernel}
        assert tried == set(SCENARIOS) - {"all"} - (two_nodes if row.arch.nodes < 2 else set())
