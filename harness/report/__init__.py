# SPDX-License-Identifier: GPL-2.0-only
"""What is said of a dataset, as data, and its rendering: HTML, Markdown, terminal, letter.

Sections, tables and charts are made once and printed by each; foreign text is escaped here.
Computes no number that a table or a comparison does not have.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
