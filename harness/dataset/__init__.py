# SPDX-License-Identifier: GPL-2.0-only
"""Records to tables: every column and row, medians and spread, as CSV and as pandas.

The same results folder gives the same bytes, wherever it lies and whoever collates it.
Has no opinion: what is faster says `compare`, what it looks like says `report`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
