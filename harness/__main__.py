# SPDX-License-Identifier: GPL-2.0-only
"""``python -m harness``."""

from __future__ import annotations

import sys

from harness.cli import main

sys.exit(main())
