# SPDX-License-Identifier: GPL-2.0-only
"""A report as its reader's browser takes it apart."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Self


class Tags(HTMLParser):
    """The names of all tags, the script, and which scripts the page's policy allows."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.script = ""
        self.allowed: list[str] = []

    @classmethod
    def of(cls, page: str) -> Self:
        tags = cls()
        tags.feed(page)
        return tags

    @property
    def hash_of_script(self) -> str:
        return base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        facts = dict(attrs)
        if facts.get("http-equiv") == "Content-Security-Policy":
            (rule,) = re.findall(r"script-src ([^;]*)", facts["content"])
            self.allowed += re.findall(r"'sha256-([^']+)'", rule)
            assert "unsafe" not in rule

    def handle_endtag(self, tag):
        self.names.append(f"/{tag}")

    def handle_data(self, data):
        if self.names and self.names[-1] == "script":
            self.script += data
