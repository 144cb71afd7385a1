# SPDX-License-Identifier: GPL-2.0-only
from .connection import Connection as Connection
from .connection import Done as Done
from .connection import Program as Program
from .connection import named as named
from .endpoint import Endpoint as Endpoint
from .endpoint import SSHTimeouts as SSHTimeouts
from .hostkeys import SYSTEM as SYSTEM
from .hostkeys import KnownHosts as KnownHosts
from .login import generate_key as generate_key
