# SPDX-License-Identifier: GPL-2.0-only
from .api import describe as describe
from .api import load as load
from .api import run_experiment as run_experiment
from .project import Project as Project

__version__: str
