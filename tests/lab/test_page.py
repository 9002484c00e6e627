# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of `slabwhy -o` and `slablost -o` out of real crash, in a browser, at two widths."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple, Tuple

import pytest

from crash_ext.version import TOOL_VERSION
from tests import lab
from tests.lab.dumps import Dump
from tests.lab.examplepage import PAGE
from tests.lab.session import run_lines

_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update"
).split()
# The page has no script: this one stands outside of it, and looks in.
_FRAME = """<!DOCTYPE html><iframe id="page" style="width:{width}px;height:900px"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const root = frame.contentDocument.documentElement;
  const cells = root.querySelectorAll(".cells > *");
  const broken = [...root.querySelectorAll("a")].filter(
    a => !root.querySelector(a.getAttribute("href")));
  document.title = [root.scrollWidth, cells.length, broken.length,
    root.querySelectorAll("a").length].join(" ");
}};
frame.srcdoc = {page};
</script>"""


class Page(NamedTuple):
    """A page, and what `sys` says in the session that wrote it."""

    dump: Dump
    text: str
    sys: str


def written(scenario: str, command: str, folder: Path) -> Page:
    dump, file = lab.dump("6.1", scenario), folder / "page.html"
    _, said = run_lines(dump, "8.0.2", [f"{command} -o {file}", "sys"])
    return Page(dump, file.read_text(encoding="utf-8"), said)


@pytest.fixture(scope="module", name="page")
def fixture_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of every leftover in the dump."""
    return written("causes", "slabwhy", tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module", name="lost_page")
def fixture_lost_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of what the kernel of that dump has lost."""
    return written("leak", "slablost", tmp_path_factory.mktemp("page"))


def looked_at(page: str, width: int, folder: Path) -> Tuple[int, int, int, int]:
    """(width that it needs, cells, links that lead nowhere, links) in a browser's window."""
    browser = shutil.which("chromium")
    assert browser, "`make packages` installs chromium"
    outer = folder / "frame.html"
    quoted = "`" + re.sub(r"([\\`$])", r"\\\1", page).replace("</script", "<\\/script") + "`"
    outer.write_text(_FRAME.format(width=width, page=quoted), encoding="utf-8")
    done = subprocess.run(
        [browser, *_QUIET, f"--user-data-dir={folder}", "--virtual-time-budget=20000",
         "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) (\d+) (\d+) (\d+)</title>", done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    first, second, third, fourth = (int(number) for number in found.groups())
    return first, second, third, fourth


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window_and_every_link_leads_somewhere(
    page: Page, width: int, tmp_path: Path
) -> None:
    needed, cells, broken, links = looked_at(page.text, width, tmp_path)
    assert needed <= width
    assert cells > 500
    assert broken == 0
    assert links > 63, "as many as there are leaked objects, and those on lists"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_example_in_docs_fits_and_is_of_the_demo_s_leak(width: int, tmp_path: Path) -> None:
    example = PAGE.read_text(encoding="utf-8")
    needed, cells, broken, _ = looked_at(example, width, tmp_path)
    assert needed <= width
    assert broken == 0
    assert cells == 5 * 32
    assert "<dt>off the list</dt><dd>5 (likely)</dd>" in example
    assert "<dt>dump</dt><dd>vmcore</dd>" in example, "no path of a machine"


@pytest.mark.parametrize("which", ["why", "lost"])
def test_it_tells_which_dump_it_is_of_and_what_made_it(
    page: Page, lost_page: Page, which: str
) -> None:
    """The date is crash's own, which is in the local time of who looks."""
    dump, text, said = page if which == "why" else lost_page
    date = time.strptime(re.sub(r" \w+ (\d+)$", r" \1", said.split("DATE: ")[1].split("\n")[0]))
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts["dump"] == str(dump.vmcore.resolve())
    assert facts["date"] == time.strftime(
        "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.mktime((*date[:8], -1)))
    )
    assert facts["host"] == "(none)", "the guest has no name"
    assert facts["kernel"] == re.findall(r"RELEASE: (\S+)", said)[0]
    assert facts["command"].startswith(f"slab{which} -o ")
    assert facts["slableak"] == TOOL_VERSION


def test_it_has_the_lines_of_the_log_that_the_evidence_rests_on(page: Page) -> None:
    quoted = re.findall(r"<h3>Kernel log</h3><pre>\n(.*?)</pre>", page.text, re.S)
    assert quoted
    for text in quoted:
        lines = text.split("\n")
        assert "Objects remaining in " in lines[0]
        assert any("Slab cache still has objects" in line for line in lines)
        assert lines[0].replace("&lt;", "<").strip() in lab.dump("6.1", "causes").log.replace(
            "\r", ""
        )


def test_it_is_one_file_that_needs_no_script_and_shows_each_leaked_object(page: Page) -> None:
    assert "<script" not in page.text
    assert "http" not in re.sub(r"<meta http[^>]*>", "", page.text)
    truth = lab.dump("6.1", "causes").truth
    for name in truth["causes"]:
        for row in truth["objects"][name]["leftover"].get("leaked", []):
            assert f'id="o{row["addr"]}"' in page.text
            assert f'class="a" title="{row["addr"]} allocated"' in page.text


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_lost_objects_fits_too(lost_page: Page, width: int, tmp_path: Path) -> None:
    needed, cells, broken, _ = looked_at(lost_page.text, width, tmp_path)
    assert needed <= width
    assert cells > 32
    assert broken == 0


def test_it_shows_each_lost_object_and_what_the_whole_comes_to(lost_page: Page) -> None:
    truth = lab.dump("6.1", "leak").truth
    for row in truth["objects"]["slab_test"]["leftover"]["leaked"]:
        assert f'id="o{row["addr"]}"' in lost_page.text
    whole = r"<p>\d+ of \d+ allocated objects lost in \d+ caches, \d+ bytes"
    assert re.search(whole, lost_page.text)
    assert "to have the allocations noted, boot with" in lost_page.text
