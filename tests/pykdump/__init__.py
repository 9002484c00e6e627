# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands on released PyKdump, as far as that goes without its binary.

A Python of its own that has PyKdump's modules and no others (child.py), run the way that
PyKdump runs programs, asks a stand-in for the module `crash` that lives in the test's process
(host.py). And the command lines that the lab uses for a real binary.
"""
