# SPDX-License-Identifier: GPL-2.0-only
"""The one reader of JSON and YAML that others wrote: what comes out is small, flat and finite.

Bytes in, values out, or an error that says in a few words why not. A document has a limit of size,
of nesting, of the digits of a number and of what its references unfold to, and with those of time:
nothing here takes more than a few times what it takes to read plain text of that length.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml
from pydantic_core import from_json

from harness.errors import UserError

MAX_JSON = 64 << 20
"""Bytes of a record: the largest of the reference datasets has 60 kB."""
MAX_YAML = 1 << 19
"""Bytes: PyYAML reads 100 kB a second, and the largest lock of ours has 67 kB."""
MAX_NODES = 200_000
"""Values that a YAML document unfolds to: aliases and merge keys can say much in a few bytes."""
MAX_DIGITS = 40
"""Of a number; 64 bits have 20."""
INT64 = 1 << 63

# What may be a number that no column can hold; all else is read without a second look.
_EXPONENT = re.compile(rb"[eE]\+?[0-9]{2}")
_BEFORE = (b":", b",", b"[", b" ", b"\n", b"\t", b"\r")
"""What may stand before a number."""
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_json(data: bytes, most: int = MAX_JSON) -> Any:
    """What a JSON document says, its numbers in 64 bits and finite.

    Raises `ValueError` for anything else: a document that is too large, nests deeper than 200, is
    not UTF-8, has half a surrogate pair in a text, or a number that no column can hold.
    """
    value = parse_json(data, most)
    if may_be_large(data):
        check(value)
    return value


def parse_json(data: bytes, most: int = MAX_JSON) -> Any:
    """The same with numbers of any size; `tame` or `check` them before use."""
    if len(data) > most:
        raise ValueError(f"larger than {most >> 20} MiB")
    return from_json(data, allow_inf_nan=False, cache_strings="keys")


def may_be_large(data: bytes) -> bool:
    """Whether a document may have numbers that no column can hold.

    A third of what it takes to read it: an exponent is looked at where it is no part of a text.
    """
    if b"0" * 19 in data.translate(_DIGITS) or b"NaN" in data or b"Infinity" in data:
        return True
    for match in _EXPONENT.finditer(data):
        before = data[max(0, match.start() - 64) : match.start()]
        number = before.rstrip(b"0123456789.")
        if number != before and number.rstrip(b"-")[-1:] in (b"", *_BEFORE):
            return True
    return False


def fits(value: float) -> bool:
    """Whether a number is finite, and has room in 64 bits."""
    return math.isfinite(value) if isinstance(value, float) else -INT64 <= value < INT64


def whole(text: str) -> int | None:
    """The number that a text of decimal digits is; none where it is another, or beyond 64 bits."""
    plain = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if plain and fits(int(text)) else None


def check(value: Any) -> None:
    """Raises `ValueError` where a number anywhere in `value` does not fit.

    A float has to have room as an integer too: it may stand where one is expected.
    """
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, int | float):
        if not (fits(value) and abs(value) < 2 * INT64):
            raise ValueError("a number is beyond 64 bits")
        return
    elif not isinstance(value, list):
        return
    for item in value:
        check(item)


def tame(value: Any) -> Any:
    """The same value, with the begin of its text for each number that does not fit."""
    if isinstance(value, dict):
        return {key: tame(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tame(item) for item in value]
    if isinstance(value, int | float) and not fits(value):
        return str(value)[:MAX_DIGITS]
    return value


TEXTS = frozenset({"bases", "ports"})
"""Keys whose values are names of bases, which look like numbers: 6.10 is not 6.1."""


class _Loader(yaml.SafeLoader):
    """The safe loader, but for equal keys, of which that one takes the last without a word, and
    for `TEXTS`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for name, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = name.value if name.tag == _MERGE else self.construct_object(name, deep=True)
            line = name.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                raise UserError(f"line {line}: {key!r} again; it stands on line {lines[key]}")
            if isinstance(key, Hashable):
                lines[key] = line
        for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(name, yaml.ScalarNode) and name.value in TEXTS:
                for item in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    if isinstance(item, yaml.ScalarNode) and item.tag in _NUMBERS:
                        item.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def read_yaml(data: bytes | str, where: str) -> Any:
    """What a YAML file says, by the safe loader; raises `UserError` where it is none.

    A key that stands twice is an error too, and so are a document that is too large, or unfolds to
    too much, a number of too many digits or beyond all bounds, and half a surrogate pair.
    """
    try:
        if len(data) > MAX_YAML:
            raise UserError(f"larger than {MAX_YAML >> 10} KiB")
        loader = _Loader(data)
        node = loader.get_single_node()
        if node is None:
            return None
        _unfolded(node, {})
        return loader.construct_document(node)
    except UserError as error:
        raise UserError(error.what, where=where) from None
    except RecursionError:
        raise UserError("not YAML: it nests too deep", where=where) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        # The last three: the loader at a wrong value behind a tag, as in `!!bool x`.
        raise UserError(f"not YAML: {error}", where=where) from None


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each reference counted; raises where they are too many."""
    if isinstance(node, yaml.ScalarNode):
        _bounded(node)
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_NODES  # for a node within itself
        pairs = isinstance(node, yaml.MappingNode)
        inner = itertools.chain.from_iterable(node.value) if pairs else node.value
        known[id(node)] = 1 + sum(_unfolded(part, known) for part in inner)
    if known[id(node)] > MAX_NODES:
        line = node.start_mark.line + 1
        raise UserError(f"line {line}: unfolds to more than {MAX_NODES:,} values")
    return known[id(node)]


def _bounded(node: yaml.ScalarNode) -> None:
    line = node.start_mark.line + 1
    if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
        raise UserError(f"line {line}: a number of {len(node.value)} digits")
    if any("\ud800" <= c <= "\udfff" for c in node.value):
        raise UserError(f"line {line}: half a surrogate pair")
