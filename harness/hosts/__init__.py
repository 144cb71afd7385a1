# SPDX-License-Identifier: GPL-2.0-only
"""Many hosts, on one engine, Dask: where workers come from, and blocks as tasks of them.

A block stays on one host, counts once, and outlives connections, workers and the controller. What
boots, and what a boot means, is not known here: a host runs the same loop as this machine.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
