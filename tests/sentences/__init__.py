# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sentences that a user can read does no test hold? (`make sentences`)

A sentence is held if a test fails where its text is another one. literals.py finds the texts in
the sources and lets them be changed while the tests run; __main__.py judges.
"""
