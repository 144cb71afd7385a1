# SPDX-License-Identifier: GPL-2.0-only
"""Raw evidence to findings: console, probes and counts to phases, outcome and facts.

Pure functions over bytes that anybody may have written: each is bounded, and none raises for what
a guest said. Starts nothing and judges no variant: it says how one boot went.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
