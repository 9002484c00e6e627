# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are still there: the evidence, the causes, the conclusion.

rules.py is the table of causes; what finds them stands beside it: calledback.py, listed.py and
holding.py for objects that somebody has, blank.py, headless.py, offlist.py and unreached.py for
lost ones. finding.py is what they find; phrases.py, twins.py and numbers.py are what they share.
Knows every folder below it; not the host, and not how a finding is shown.
"""
