# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernels a slow test tries each time; the others are for `make test-long`."""

from __future__ import annotations

from typing import Collection, List

import pytest
from _pytest.mark.structures import ParameterSet

from .kernels import KERNELS


def kernels(often: Collection[str]) -> List[ParameterSet]:
    """Every kernel of the lab as a parameter, marked `long` if it isn't among these."""
    return [
        pytest.param(kernel, marks=[] if kernel in often else [pytest.mark.long])
        for kernel in KERNELS
    ]
