# SPDX-License-Identifier: GPL-2.0-only
from .boot import Evidence as Evidence
from .boot import Output as Output
from .boot import launch as launch
from .interact import ESCAPE_NAME as ESCAPE_NAME
from .request import BootRequest as BootRequest
from .request import Guest as Guest
