# SPDX-License-Identifier: GPL-2.0-only
"""A dataset in the forms that other trackers take, in their units and under their kind of names.

Each form is bytes made from the tables alone: the same dataset gives the same bytes. Nothing is
sent anywhere, and nothing is said that the dataset does not say.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
