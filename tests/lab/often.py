# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slow test tries each time: on which kernels, and on which host.

The other kernels are for `make test-long`.
"""

from __future__ import annotations

from typing import Collection, List

import pytest
from _pytest.mark.structures import ParameterSet

from .crashes import crashes_for
from .kernels import KERNELS
from .session import DRGN


def kernels(often: Collection[str]) -> List[ParameterSet]:
    """Every kernel of the lab as a parameter, marked `long` if it isn't among these."""
    return [
        pytest.param(kernel, marks=[] if kernel in often else [pytest.mark.long])
        for kernel in KERNELS
    ]


def quick_host(kernel: str) -> str:
    """Where the answer is the claim and not its host: a release of crash, or DRGN.

    The debug information takes crash four to nine seconds at each start, and drgn half of one.
    That both answer the same is claimed by others (test_drgn.py, test_contract.py, the matrix).
    """
    return crashes_for(kernel)[-1] if kernel == "5.10" else DRGN
