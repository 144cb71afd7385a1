# SPDX-License-Identifier: GPL-2.0-only
"""The results folder: where evidence and records lie, written whole or not at all.

`Results` opens, finishes, sets aside and reads runs; the ledger says what became of each block.
Knows nothing of kernels, of QEMU, or of what a console says.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
