# SPDX-License-Identifier: GPL-3.0-or-later
"""How it looks: tables, hexdump lines, JSON lines, progress.

Knows plain values only: no other folder, no kernel, no crash.
"""
