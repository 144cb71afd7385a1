# SPDX-License-Identifier: GPL-2.0-only
from .checks import Check as Check
from .prove import GateResult as GateResult
from .prove import prove_scenarios as prove_scenarios
from .prove import prove_variants as prove_variants
from .status import MARKS as MARKS
from .status import MEANING as MEANING
from .status import statuses as statuses
