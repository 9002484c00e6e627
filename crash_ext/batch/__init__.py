# SPDX-License-Identifier: GPL-3.0-or-later
"""Many dumps: the records' schema, a script that looks at one dump, and one that merges.

Nothing here is loaded into crash. one-dump.sh is what a scheduler runs; its head shows how;
merge.py makes one table of what it has written, and runs on any Python 3.8 with a full
library, without crash and without the rest of this package. schema.json (JSON Schema
2020-12) describes each record that a command writes with -j, and those of one-dump.sh.
"""
