# SPDX-License-Identifier: GPL-2.0-only
"""Templates to pages: one environment for every one of them.

Whatever a template prints is made harmless (`text.clean`). One that makes HTML escapes it as well,
unless it is `Markup`; one that makes Markdown says ``| md`` where text is not its own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.text import clean, markdown

_FOLDER = Path(__file__).parent / "templates"


def page(template: str, **context: Any) -> str:
    """A template with what it is given; raises `jinja2.UndefinedError` where something lacks."""
    return _environment().get_template(template).render(context)


def script_hash(script: str) -> str:
    """What a Content-Security-Policy calls a script that may run, behind ``sha256-``."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def asset(name: str) -> Markup:
    """A style sheet or script of ours, as it goes into a page."""
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters["md"] = markdown
    return made


def _finalize(value: object) -> object:
    """The last look at all that is printed."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
