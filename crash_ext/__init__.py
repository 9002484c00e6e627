# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for the crash utility that find leaked slab caches and their objects.

The commands lie here, one file a command, and so does reader.py, the one thing that the
allocator's rooms ask of a kernel. Arrows between the rooms point downwards only:

    commands -> leak -> slub -> reader.py <- host
    commands -> report

A command picks a host, hands its reader down, and the findings on to report.
"""
