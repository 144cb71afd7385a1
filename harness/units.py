# SPDX-License-Identifier: GPL-2.0-only
"""Sizes in binary units and lists of CPUs, as people write them in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

MAX_SIZE = 1 << 63
"""More bytes than any machine has; a number in JSON and CSV still."""
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
_UNITS = {"": 1, "B": 1, "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB}
_SIZE = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]*)\s*")
_CPUS = re.compile(r"[0-9]{1,6}(-[0-9]{1,6})?(,[0-9]{1,6}(-[0-9]{1,6})?)*")


def parse_size(text: object) -> int:
    """``"64GiB"`` to bytes; plain integers are bytes.

    Decimal units (GB) are refused: they are never what is meant for memory.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return _bounded(text)
    match = _SIZE.fullmatch(str(text))
    if not match or match[2].upper() not in _UNITS:
        raise ValueError(f"not a size: {str(text)[:60]!r} (write 64GiB, 512MiB, 4KiB or bytes)")
    value = Fraction(match[1]) * _UNITS[match[2].upper()]
    if value.denominator != 1:
        raise ValueError(f"not a whole number of bytes: {str(text)[:60]!r}")
    return _bounded(value.numerator)


def _bounded(size: int) -> int:
    if not 0 <= size < MAX_SIZE:
        raise ValueError("not a size: it has to be between 0 and 8EiB")
    return size


def format_size(size: int) -> str:
    """Bytes in the largest binary unit: three decimals where they are exact, else one."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            exact = size * 1000 % unit == 0
            return f"{size / unit:.10g}{name}" if exact else f"{size / unit:.1f}{name}"
    return f"{size}B"


def amount(value: float | None, metric: str, *, exact: bool = False) -> str:
    """A value of a metric with its unit, to three or four digits; a dash where there is none.

    The end of a metric's name is its unit: ``_bytes``, ``_s``; ``ns_per_page`` is in ns; all else
    is a count, whose unit the table says. `exact` tells counts of instructions to the last one and
    bytes to a tenth of a MiB, for values that stand beside a small difference.
    """
    if value is None:
        return "-"
    if metric.endswith("_bytes"):
        return _bytes(value, exact)
    if metric.endswith("_s"):
        return _seconds(value)
    if metric.startswith("ns_"):
        return f"{value:.4g} ns" if abs(value) < 1e4 else f"{value / 1e3:.4g} µs"
    whole = exact and metric.endswith("instructions")
    return f"{value:,.0f} instructions" if whole else _count(value)


def _bytes(value: float, exact: bool) -> str:
    size = abs(int(value))
    return ("-" if value < 0 else "") + (f"{size / MIB:,.1f}MiB" if exact else format_size(size))


def _seconds(value: float) -> str:
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if abs(value) < limit:
            return f"{value * scale:.3g} {unit}"
    return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"


def _count(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.4g} {unit}" if scaled < 10000 else f"{scaled:,.0f} {unit}"
    return f"{value:.4g}"


def parse_cpus(text: object) -> tuple[int, ...]:
    """``"0-3,8"``, ``3``, ``[0, 1]`` or ``""`` to CPU numbers, sorted and unique."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if isinstance(text, list | tuple):
        return tuple(sorted({cpu for part in text for cpu in parse_cpus(part)}))
    stripped = str(text if text is not None else "").replace(" ", "")
    if not stripped:
        return ()
    if not _CPUS.fullmatch(stripped):
        raise ValueError(f"not a list of CPUs: {str(text)[:60]!r} (write 0-3,8)")
    cpus: set[int] = set()
    for part in stripped.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first) or int(last or first) > 4095:
            raise ValueError(f"not a range of CPUs: {part!r}")
        cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def format_cpus(cpus: Iterable[int]) -> str:
    """CPU numbers as ranges, the inverse of `parse_cpus`."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def exact_size(size: int) -> str | int:
    """Bytes in the largest binary unit that divides them, so that `parse_size` gives them back."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return size


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(exact_size, when_used="json"),
    WithJsonSchema({"type": "string", "format": "size"}),
]
Cpus = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_cpus),
    PlainSerializer(format_cpus, when_used="json"),
    WithJsonSchema({"type": "string", "format": "CPUs"}),
]
