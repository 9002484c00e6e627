# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that QEMU has written by itself (dump-guest-memory -z), on drgn: nothing is missing."""

from __future__ import annotations

import pytest

from tests.lab.drgnsession import run_lines_on_drgn
from tests.lab.often import kernels
from tests.lab.qemukdump import qemu_dump
from tests.lab.test_drgn import slableak


@pytest.mark.parametrize("kernel", kernels(["6.1"]))
def test_a_dump_of_qemus_own_is_read_once_it_is_in_order(kernel: str) -> None:
    dump = qemu_dump(kernel)
    states = dump.truth["objects"]["slab_test"].values()
    account = {
        row["addr"] for each in states for s in ("leaked", "live") for row in each.get(s, [])
    }
    quiet, table = run_lines_on_drgn(dump, ["slabobjs -q slab_test", "slabdup"])
    assert set(quiet.split()) == account
    assert "leftover  slab_test" in table


def test_as_qemu_has_written_it_it_is_one_line_that_says_what_to_do() -> None:
    dump = qemu_dump("6.1")
    flattened = dump.folder / "flattened"
    status, out, err = slableak("-s", str(dump.vmlinux), str(flattened), "slabdup")
    assert (status, out) == (1, "")
    said = (
        f"slableak: {flattened}: a flattened dump: makedumpfile -R NEW <{flattened} makes one of it"
    )
    assert err.splitlines()[-1] == said
    assert "Traceback" not in err
