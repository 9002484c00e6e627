# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are still there: the evidence, the causes, the conclusion.

rules.py is the table of causes. Knows every folder below it; not the host, and not how a
finding is shown.
"""
