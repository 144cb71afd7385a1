# SPDX-License-Identifier: GPL-2.0-only
"""A report as its reader's browser takes it apart."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Self


class Tags(HTMLParser):
    """The names of all tags, the scripts and data, and which scripts the page's policy allows."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.scripts: list[str] = []
        self.data: list[str] = []
        self._filled: list[str] | None = None
        self.allowed: list[str] = []

    @classmethod
    def of(cls, page: str) -> Self:
        tags = cls()
        tags.feed(page)
        return tags

    @property
    def hashes_of_scripts(self) -> list[str]:
        digests = [hashlib.sha256(script.encode()).digest() for script in self.scripts]
        return [base64.b64encode(digest).decode() for digest in digests]

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        facts = dict(attrs)
        if tag == "script":
            self._filled = self.data if facts.get("type") == "application/json" else self.scripts
            self._filled.append("")
        if facts.get("http-equiv") == "Content-Security-Policy":
            (rule,) = re.findall(r"script-src ([^;]*)", facts["content"])
            self.allowed += re.findall(r"'sha256-([^']+)'", rule)
            assert "unsafe" not in rule

    def handle_endtag(self, tag):
        self.names.append(f"/{tag}")
        self._filled = None

    def handle_data(self, data):
        if self._filled is not None:
            self._filled[-1] += data
