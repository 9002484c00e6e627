# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the commands are, as ratios: `make bench`, or python -m tests.bench.

Everything is measured on the lab's big dump (a million allocated objects of 64 bytes), in
one run, in rounds that take every contender in turn: a busy machine slows all of them.
Knows the commands by what a user types; floor.py alone runs inside crash.
"""
