# SPDX-License-Identifier: GPL-2.0-only
"""System.map: where functions are, and in which one a vCPU is."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_SYMBOL = re.compile(r"^([0-9a-f]{1,16}) (\S) (\S+)$", re.M)
_RIP = re.compile(r"\b[RE]IP=([0-9a-f]{8,16})\b")
_REACH = 1 << 20
"""A pointer this far behind a symbol is not within it."""


class Symbol(NamedTuple):
    """A line of System.map: the address, a letter as nm prints it, the name."""

    address: int
    kind: str
    name: str

    @property
    def is_code(self) -> bool:
        return self.kind in "tTwW"


@dataclass(frozen=True)
class SystemMap:
    """The symbols of a kernel, by address; those of one address by name."""

    symbols: tuple[Symbol, ...]

    @classmethod
    def read(cls, text: str) -> SystemMap:
        """Every line that is one; a damaged file has fewer."""
        found = (Symbol(int(address, 16), *rest) for address, *rest in _SYMBOL.findall(text))
        return cls(tuple(sorted(found, key=lambda symbol: (symbol.address, symbol.name))))

    @cached_property
    def addresses(self) -> dict[str, int]:
        """Name to address; the last of several of one name, which only static ones have."""
        return {symbol.name: symbol.address for symbol in self.symbols}

    @property
    def functions(self) -> set[str]:
        """Names of functions, what the compiler made of one by the name of that one."""
        return {
            symbol.name.partition(".")[0]
            for symbol in self.symbols
            if symbol.is_code and ".cold" not in symbol.name
        }

    @cached_property
    def _places(self) -> list[int]:
        return sorted({symbol.address for symbol in self.symbols})

    @cached_property
    def _code(self) -> tuple[Symbol, ...]:
        return tuple(symbol for symbol in self.symbols if symbol.is_code)

    def end(self, address: int) -> int:
        """Where what lies at an address ends: the next symbol. Raises `IndexError` at the last."""
        return self._places[bisect_right(self._places, address)]

    def place(self, pointer: int) -> str:
        """A pointer into code as symbol+offset, else as an address."""
        at = bisect_right(self._code, pointer, key=lambda symbol: symbol.address) - 1
        if at < 0 or pointer - self._code[at].address >= _REACH:
            return f"{pointer:#x}"
        return f"{self._code[at].name}+{pointer - self._code[at].address:#x}"


def resolve(registers: str, system_map: str) -> str:
    """Where each vCPU is, from what QEMU's monitor shows of its registers and System.map."""
    known = SystemMap.read(system_map)
    found = (known.place(int(rip, 16)) for rip in _RIP.findall(registers))
    return ", ".join(f"cpu{number}: {place}" for number, place in enumerate(found))
