# SPDX-License-Identifier: GPL-2.0-only
from .status import MARKS as MARKS
from .status import MEANING as MEANING
from .status import GateStatus as GateStatus
from .status import statuses as statuses
from .status import verdict as verdict
