# SPDX-License-Identifier: GPL-2.0-only
from .connection import CHUNK as CHUNK
from .connection import LAST_S as LAST_S
from .connection import MAX_ANSWER as MAX_ANSWER
from .connection import Connection as Connection
from .connection import Deadline as Deadline
from .connection import Done as Done
from .connection import Link as Link
from .connection import SSHTimeouts as SSHTimeouts
from .connection import Voice as Voice
from .connection import fit as fit
from .connection import lines as lines
from .connection import named as named
from .connection import quiet as quiet
from .connection import understand as understand
from .hostkeys import SYSTEM as SYSTEM
from .hostkeys import Trust as Trust
