# SPDX-License-Identifier: GPL-2.0-or-later
"""What the system tests stand on; fixtures that hand it out are in conftest.py."""
