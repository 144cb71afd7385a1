# SPDX-License-Identifier: GPL-2.0-only
from .command import CODE_LOCKED as CODE_LOCKED
from .command import ENTRY as ENTRY
from .command import RESERVE_OFF as RESERVE_OFF
from .command import Qemu as Qemu
from .footprint import Footprint as Footprint
from .plugin import Plugin as Plugin
from .vm import MAX_BYTES as MAX_BYTES
from .vm import VM as VM
from .vm import script as script
