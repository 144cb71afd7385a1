# SPDX-License-Identifier: GPL-2.0-only
from .build import BuiltKernel as BuiltKernel
from .check import Record as Record
from .check import SeriesReport as SeriesReport
from .fastpath import BASELINE as BASELINE
from .fastpath import Shapes as Shapes
from .git import Repository as Repository
from .git import dirty as dirty
from .git import environment as environment
from .source import Source as Source
from .source import kernel_release as kernel_release
from .store import Kernels as Kernels
from .symbols import SystemMap as SystemMap
from .symbols import resolve as resolve
