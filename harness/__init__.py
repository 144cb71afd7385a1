# SPDX-License-Identifier: GPL-2.0-only
"""Boots patched Linux kernels on very large emulated NUMA machines and measures the boot.

What a notebook or a script needs is offered here and loaded on first use; see docs/analysis.md.
All else can be imported, and is not promised to stay where it is.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
