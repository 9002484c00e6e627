# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for the C module `crash` over a memory image: built, or replayed from real dumps.

Knows the module's contract and memory; none of the rooms of crash_ext above host.
"""
