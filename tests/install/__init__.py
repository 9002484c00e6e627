# SPDX-License-Identifier: GPL-3.0-or-later
"""make install and make uninstall, as a packager and as root would use them."""
