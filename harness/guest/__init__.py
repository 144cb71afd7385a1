# SPDX-License-Identifier: GPL-2.0-only
"""User space of the guest: init and probes, in C under `src/`, and images of distributions.

The initramfs is the same bytes for the same sources; of an image it is read what it is.
Runs nothing in a guest, and parses nothing that one says.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
