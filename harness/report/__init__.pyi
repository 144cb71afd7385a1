# SPDX-License-Identifier: GPL-2.0-only
from .charts import Track as Track
from .charts import draw as draw
from .pages import asset as asset
from .pages import page as page
from .render import COLOURS as COLOURS
from .render import publish as publish
from .text import comparison_markdown as comparison_markdown
from .text import looked as looked
from .text import sheets as sheets
