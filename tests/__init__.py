# SPDX-License-Identifier: GPL-3.0-or-later
"""All tests, and the lab that makes real dumps for them."""
