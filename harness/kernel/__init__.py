# SPDX-License-Identifier: GPL-2.0-only
"""Source and series to an image: trees in git, patches, configuration, build, store.

Everything is named by what it depends on, so nothing known is built again; series are checked and
machine code is compared here too. Boots nothing, and knows neither machines nor experiments.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
