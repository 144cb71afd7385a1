# SPDX-License-Identifier: GPL-2.0-only
"""One boot, from the request to raw evidence: launch, watch, end.

Stamps bytes as they arrive and looks for the few words that end a boot; a distribution's probes
are run over SSH. Draws no conclusion from evidence, and knows neither blocks nor datasets.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
