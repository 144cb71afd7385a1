# SPDX-License-Identifier: GPL-2.0-only
from .charts import Track as Track
from .charts import draw as draw
from .document import Table as Table
from .pages import asset as asset
from .pages import page as page
from .render import COLOURS as COLOURS
from .render import publish as publish
from .text import cover_letter as cover_letter
from .text import looked as looked
from .text import tables as tables
