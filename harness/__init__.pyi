# SPDX-License-Identifier: GPL-2.0-only
from .api import boot_once as boot_once
from .api import compare_variants as compare_variants
from .api import describe as describe
from .api import load as load
from .api import parse_log as parse_log
from .api import run_experiment as run_experiment
from .project import Project as Project

__version__: str
