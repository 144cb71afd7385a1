# SPDX-License-Identifier: GPL-2.0-only
"""An experiment with all it needs, and the loop that boots what is missing of it.

Finished runs stay and the next start goes on; an executor says where boots happen.
Makes no tables and prints nothing: who calls is told by events.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
