# SPDX-License-Identifier: GPL-2.0-only
"""What a variant has to prove, from what its probes reported, and whether it has.

A variant with less evidence than its plan has failed, by name.
Looks at nothing beside the runs it judges, and at no time that anything took.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
