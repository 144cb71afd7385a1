# SPDX-License-Identifier: GPL-2.0-only
from .changes import EXACT as EXACT
from .changes import Change as Change
from .changes import Tolerance as Tolerance
from .changes import status as status
from .dashboard import WORDS as WORDS
from .dashboard import Board as Board
from .dashboard import notes as notes
from .dashboard import row as row
from .history import History as History
from .history import Night as Night
from .history import by_day as by_day
from .history import night_of as night_of
