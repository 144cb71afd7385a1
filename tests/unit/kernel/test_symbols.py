# SPDX-License-Identifier: GPL-2.0-only
"""System.map is read once, for the registers of a hung guest, for functions and for the plugin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kernel.symbols import Symbol, SystemMap, resolve

TEXT = """\
0000000000000000 D __per_cpu_start
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000040 t local
ffffffff81000040 W alias
ffffffff81000080 D data
ffffffff81000090 T last
ffffffff81000090 T
nonsense ffffffff81000094 T x
"""
NAMES = st.text("abcdefgh_.", min_size=1, max_size=6)
SYMBOLS = st.dictionaries(
    st.integers(1 << 32, (1 << 64) - 1), st.tuples(st.sampled_from("tTwWdDbBA"), NAMES), min_size=2
)


def test_lines_become_symbols_by_address() -> None:
    known = SystemMap.read(TEXT)
    names = ["__per_cpu_start", "_stext", "_text", "alias", "local", "data", "last"]
    assert [symbol.name for symbol in known.symbols] == names
    assert known.addresses["data"] == 0xFFFFFFFF81000080
    assert known.end(known.addresses["_text"]) == known.addresses["local"]
    with pytest.raises(IndexError):
        known.end(known.addresses["last"])


def test_vcpus_are_told_by_symbol_where_one_is_near() -> None:
    shown = "CPU#0\nRIP=ffffffff81000044 RFL=2\nCPU#1\nRIP=ffffffff81000085\nCPU#2\nEIP=0000fff0\n"
    assert resolve(shown, TEXT) == "cpu0: local+0x4, cpu1: local+0x45, cpu2: 0xfff0"
    far = f"RIP={0xFFFFFFFF81000090 + (1 << 20):x}"
    assert resolve(far, TEXT) == f"cpu0: {far[4:].join(('0x', ''))}"
    assert resolve("RIP=ffffffff81000044", "") == "cpu0: 0xffffffff81000044"


@given(SYMBOLS, st.integers(0, 1 << 21))
def test_a_place_is_the_last_code_at_or_before(symbols, beyond) -> None:
    text = "".join(f"{at:016x} {kind} {name}\n" for at, (kind, name) in symbols.items())
    known = SystemMap.read(text)
    assert set(known.symbols) == {Symbol(at, *rest) for at, rest in symbols.items()}
    for at in symbols:
        pointer = at + beyond
        code = [(a, name) for a, (kind, name) in symbols.items() if kind in "tTwW" and a <= pointer]
        start, name = max(code, default=(0, ""))
        near = code and pointer - start < 1 << 20
        assert known.place(pointer) == (f"{name}+{pointer - start:#x}" if near else f"{pointer:#x}")
        later = [a for a in symbols if a > at]
        if later:
            assert known.end(at) == min(later)


def test_addresses_without_a_map_stay_addresses():
    assert resolve("RIP=ffffffff81000010\nRIP=0000000000000010", "") == (
        "cpu0: 0xffffffff81000010, cpu1: 0x10"
    )
    assert resolve("", "") == ""
