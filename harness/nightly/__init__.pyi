# SPDX-License-Identifier: GPL-2.0-only
from .bisections import Bisection as Bisection
from .changes import EXACT as EXACT
from .changes import Tolerance as Tolerance
from .dashboard import WORDS as WORDS
from .dashboard import Board as Board
from .dashboard import below as below
from .dashboard import changed as changed
from .dashboard import culprits as culprits
from .dashboard import notes as notes
from .nightly import FILES as FILES
from .nightly import Reported as Reported
from .nightly import report_night as report_night
from .nightly import run_night as run_night
