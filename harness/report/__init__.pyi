# SPDX-License-Identifier: GPL-2.0-only
from .charts import Measure as Measure
from .charts import timeline as timeline
from .document import Table as Table
from .flamegraph import cost_table as cost_table
from .flamegraph import difference_table as difference_table
from .flamegraph import flame_page as flame_page
from .pages import asset as asset
from .pages import page as page
from .palette import Who as Who
from .palette import marks_of as marks_of
from .render import publish as publish
from .sections import HEADLINE as HEADLINE
from .text import cover_letter as cover_letter
from .text import looked as looked
from .text import tables as tables
from .vega import Painter as Painter
from .verdicts import HEAD as HEAD
