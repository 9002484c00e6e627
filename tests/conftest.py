# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis gives up on no test for its time: a busy machine is no fault of the product."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
