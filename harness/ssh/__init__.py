# SPDX-License-Identifier: GPL-2.0-only
"""One host over SSH: the connection, keys of hosts, ways to log in, by paramiko.

Each answer is bounded in size and time, each error names the host and the remedy.
Knows neither blocks nor probes: many hosts and the probes of a distribution stand on it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
