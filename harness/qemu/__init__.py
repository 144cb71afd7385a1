# SPDX-License-Identifier: GPL-2.0-only
"""QEMU: its arguments, what a boot will take, its process, its plugins.

Every argument has its reason beside it; the process dies with the harness, whatever ends that.
Judges nothing that comes out of a serial port, and knows no experiment.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
