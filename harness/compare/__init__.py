# SPDX-License-Identifier: GPL-2.0-only
"""How much, in which word, along which line: a dataset against its baseline.

Effects, intervals, tests, verdicts, lines over memory, claims, and the rule when to stop.
Reads tables alone; neither boots nor draws.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
