# SPDX-License-Identifier: GPL-2.0-only
from .dmesg import Chunk as Chunk
from .evidence import CONSOLE as CONSOLE
from .evidence import PROBES as PROBES
from .outcome import BootReport as BootReport
from .outcome import parse_log as parse_log
from .phases import INIT as INIT
from .phases import MARKS as MARKS
from .phases import OPTIONAL as OPTIONAL
from .phases import ORDER as ORDER
from .phases import SCATTERED as SCATTERED
from .phases import TREES as TREES
from .phases import WAITING as WAITING
from .stores import AFTER as AFTER
