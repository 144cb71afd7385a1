# SPDX-License-Identifier: GPL-2.0-only
"""Nights: one after the other on disk, what changed between them, and pages about it.

A night is an experiment on the newest base, held against those before it.
Boots only through `run`; its history is added to and never rewritten.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
