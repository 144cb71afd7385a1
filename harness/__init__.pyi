# SPDX-License-Identifier: GPL-2.0-only
from .dataset.dataset import describe as describe
from .dataset.dataset import load as load

__version__: str
