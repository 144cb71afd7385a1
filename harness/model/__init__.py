# SPDX-License-Identifier: GPL-2.0-only
"""Frozen data: what files ask for, and what a run leaves.

Each model refuses unknown keys and names file, key and remedy; what follows from a fact is
computed, not stated again. Reads the YAML that it is handed, starts no program, knows no clock.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
