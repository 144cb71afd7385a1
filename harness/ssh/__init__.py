# SPDX-License-Identifier: GPL-2.0-only
"""One host over SSH: a connection, the host keys that are believed, the keys that we log in with.

All of it raises `RemoteError`, never waits for ever, and never asks anybody for a password.
An endpoint says all that a connection needs; who lends a machine to whom is not known here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
