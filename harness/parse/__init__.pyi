# SPDX-License-Identifier: GPL-2.0-only
from .dmesg import Chunk as Chunk
from .evidence import CONSOLE as CONSOLE
from .evidence import PROBES as PROBES
from .phases import INIT as INIT
from .phases import REQUIRED as REQUIRED
from .stores import AFTER as AFTER
from .stores import MARKS as MARKS
