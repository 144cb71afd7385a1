# SPDX-License-Identifier: GPL-2.0-only
"""Many hosts: the inventory, their doctor, and blocks of an experiment booted on them.

A block stays on one host and each run counts once, whatever dies meanwhile.
Has no say in what is booted or how it is judged: it is an executor, as the local one is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
