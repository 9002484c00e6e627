# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for the crash utility that find leaked slab caches and their objects.

One file a command. Each folder stands on a floor, and imports only from floors below it
(setup.cfg has the contract, `make check` enforces it):

    9  the commands, command.py: options, help, which parts to call
    8  view/      what a command shows; below it output.py, which takes text, records or addresses
    7  why/       causes: why objects are still there; why/log/ the kernel log's reports
    6  contents/  what words and objects are
    5  reach/     who points to an object
    4  places/    what is at an address
    3  leak/      leftovers, duplicates, which cache an argument selects
    2  slub/      the allocator, decoded
    1  kernel/    any kernel structure, nothing of slabs; host/ crash and its loader
    0  reader.py  what a host must answer; report/ how things look, plain values only;
                  files.py opens what the user has named

batch/ runs beside crash, on the commands' records.
"""
