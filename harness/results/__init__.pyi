# SPDX-License-Identifier: GPL-2.0-only
from .folder import IDLE as IDLE
from .folder import PROFILE as PROFILE
from .folder import RUN_FILE as RUN_FILE
from .folder import STORES as STORES
from .folder import Damage as Damage
from .folder import Results as Results
from .folder import StoredRun as StoredRun
from .folder import Wrong as Wrong
from .folder import newest as newest
from .folder import read_run as read_run
from .folder import read_runs as read_runs
from .folder import slot_key as slot_key
from .folder import to_json as to_json
from .ledger import Fate as Fate
from .ledger import Ledger as Ledger
from .ledger import LedgerEntry as LedgerEntry
