# SPDX-License-Identifier: GPL-2.0-only
"""Code taken apart and counted: on small images made here, and in the committed record."""

import gzip
import random
import struct
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.kernel import fastpath
from tests.support.images import bzimage

LISTING = """
vmlinux:     file format elf64-x86-64

Disassembly of section .text:

ffffffff81000000 <.text>:
ffffffff81000000:\tpush   %rbp
ffffffff81000001:\tlock cmpxchg %edx,(%rdi)
ffffffff81000005:\trep stos %rax,%es:(%rdi)
ffffffff81000008:\tnopl   0x0(%rax,%rax,1)
ffffffff8100000d:\tmov    0x7e1f04(%rip),%eax        # 0xffffffff81925755
ffffffff81000013:\tret
ffffffff81000014:\tdata16 cs nopw 0x0(%rax,%rax,1)
ffffffff8100001f:\txchg   %ax,%ax
ffffffff81000021:\tint3
"""

SYSTEM_MAP = """\
0000000000000000 D per_cpu_start
ffffffff81000000 T _text
ffffffff81000000 T first
ffffffff81000000 T another_name_of_first
ffffffff81000040 t second.isra.0
ffffffff81000080 t second.isra.0.cold
ffffffff810000c0 r a_table
ffffffff81000100 t third.constprop.12
ffffffff81000200 T _etext
ffffffff81000300 D data
ffffffff81000400 T start_kernel
"""

PROGRAM = """
__attribute__((noinline)) int callee(int x) { return x * 3 + 1; }
int caller(int x) { return callee(x) + MORE; }
void _start(void) { caller(0); }
"""


def kernel(folder: Path, more: str) -> tuple[Path, Path]:
    """A program as if it were a kernel: bzImage and System.map."""
    folder.mkdir()
    (folder / "k.c").write_text(PROGRAM.replace("MORE", more))
    elf = folder / "k"
    gcc = ["gcc", "-O2", "-fno-pic", "-no-pie", "-static", "-nostdlib", "-fcf-protection=none"]
    subprocess.run([*gcc, "-o", elf, folder / "k.c"], check=True)
    table = subprocess.run(["nm", "-n", elf], capture_output=True, text=True, check=True).stdout
    starts = [line.split()[0] for line in table.splitlines() if line.split()[1] in "tT"]
    lines = [
        f"{min(starts)} T _text",
        *table.splitlines(),
        f"{int(max(starts), 16) + 32:x} T _etext",
    ]
    (folder / "System.map").write_text("\n".join(lines) + "\n")
    subprocess.run(["strip", elf], check=True)
    # The kernel has its relocations behind the ELF file, and its size behind all of it.
    packed = gzip.compress(elf.read_bytes() + b"relocations") + struct.pack("<I", 4711)
    (folder / "bzImage").write_bytes(bzimage(packed))
    return folder / "bzImage", folder / "System.map"


def test_a_listing_becomes_mnemonics_without_padding() -> None:
    want = ("push", "lock cmpxchg", "rep stos", "nopl", "mov", "ret")
    assert fastpath.mnemonics(LISTING) == want


def test_functions_end_where_the_next_symbol_begins() -> None:
    found = {f.name: (f.base, f.end - f.start) for f in fastpath.functions(SYSTEM_MAP)}
    assert (
        found["first"] == ("first", 0x40) == (found["first"][0], found["another_name_of_first"][1])
    )
    assert found["second.isra.0"] == ("second", 0x40)
    assert found["second.isra.0.cold"] == ("second", 0x40)
    assert found["third.constprop.12"] == ("third", 0x100)
    # What is thrown away after the boot is not on the way of a page.
    assert "start_kernel" not in found and "a_table" not in found


def test_two_kernels_side_by_side(tmp_path: Path) -> None:
    paths = {"fault": ("caller", "callee", "nowhere")}
    old, new = (
        kernel(tmp_path / name, more) for name, more in (("a", "0"), ("b", "callee(x + 7)"))
    )
    with fastpath.code(*old) as before, fastpath.code(*new) as after:
        same = fastpath.shape("eager", "0" * 16, before, before, paths)
        found = fastpath.shape("b", "1" * 16, after, before, paths)
        assert before.stream("callee")[-1] == "ret"
        assert len(before.stream("callee")) < 6
    assert all((c.added, c.removed) == (0, 0) for c in same.changes)
    assert [c.function for c in found.changes] == ["caller", "callee"]
    caller, callee = found.changes
    assert caller.added > caller.removed >= 0
    assert caller.added - caller.removed == caller.instructions - same.changes[0].instructions
    assert (callee.added, callee.removed) == (0, 0)
    assert not found.new and not found.gone


def longest(old: str, new: str) -> int:
    """The length of the longest common subsequence, by the textbook's table."""
    row = [0] * (len(new) + 1)
    for a in old:
        above = row[:]
        for n, b in enumerate(new, 1):
            row[n] = above[n - 1] + 1 if a == b else max(above[n], row[n - 1])
    return row[-1]


@given(st.text("abc-+", max_size=60), st.text("abc-+", max_size=60))
def test_edits_are_the_fewest(old: str, new: str) -> None:
    common = longest(old, new)
    assert fastpath.edits(tuple(old), tuple(new)) == (len(new) - common, len(old) - common)


@pytest.mark.parametrize("seed", range(4))
def test_frequent_instructions_are_not_left_out(seed: int) -> None:
    """What git does with --minimal too, where lines that the other side lacks lie around them."""
    draw = random.Random(seed)

    def listing(own: int) -> str:
        return "".join(
            chr(own + n) if draw.random() < 0.8 else draw.choice("ab") for n in range(200)
        )

    old, new = listing(0x4E00), listing(0x5E00)
    common = longest(old, new)
    assert common and fastpath.edits(tuple(old), tuple(new)) == (200 - common, 200 - common)


def probes(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    columns = ("variant", "name", "thread", "instructions_per_page")
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(probe="touch", clock="work", outcome="ok", warmup=False)


def test_only_threads_that_are_alone_are_counted() -> None:
    one = probes(("eager", "first-touch", 0, 6000.0), ("lazy", "first-touch", 0, 6100.5))
    want = {"eager": {"first-touch": 6000.0}, "lazy": {"first-touch": 6100.5}}
    assert fastpath.touched(one, "x") == want
    several = probes(("eager", "first-touch", 0, 24000.0), ("eager", "first-touch", 1, 24000.0))
    with pytest.raises(UserError, match="several threads"):
        fastpath.touched(several, "x")
    with pytest.raises(UserError, match="no touch by the work clock"):
        fastpath.touched(one.assign(clock="time"), "x")
    twice = probes(("eager", "first-touch", 0, 6000.0), ("eager", "first-touch", 0, 6001.0))
    with pytest.raises(UserError, match="eager: first-touch differs"):
        fastpath.touched(twice, "x")
