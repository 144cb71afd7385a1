# SPDX-License-Identifier: GPL-2.0-only
"""Profiles as the plugin writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.parse.profile import Profile, read_profile
from tests.support.checkout import bzimage

Call = tuple[int, str, int, int]
"""Depth, function, instructions of its own, calls."""

EAGER: tuple[Call, ...] = (
    (0, "[firmware]", 900, 0),
    (0, "start_kernel", 5, 1),
    (1, "setup_arch", 20, 1),
    (2, "memmap_init_range", 700, 4),
    (1, "mm_core_init", 10, 1),
    (2, "memblock_free_all", 300, 1),
    (0, "ret_from_fork", 1, 2),
    (1, "kernel_init", 60, 1),
)
DEFERRED: tuple[Call, ...] = (
    (0, "[firmware]", 900, 0),
    (0, "start_kernel", 5, 1),
    (1, "setup_arch", 20, 1),
    (2, "memmap_init_range", 100, 4),
    (1, "mm_core_init", 10, 1),
    (2, "memblock_free_all", 30, 1),
    (0, "ret_from_fork", 1, 6),
    (1, "kernel_init", 60, 1),
    (1, "kthread", 8, 4),
    (2, "deferred_init_memmap", 500, 4),
)


Spans = Mapping[str, tuple[int, int, int, int, int]]
"""By function: calls, returns, executed before and at their ends, and from call to return."""

SPANS: Spans = {
    "start_kernel": (1, 0, 900, 0, 0),
    "setup_arch": (1, 1, 903, 1623, 720),
    "memmap_init_range": (4, 4, 915, 1620, 700),
    "memblock_free_all": (1, 1, 1630, 1930, 300),
}


def written(
    calls: Sequence[Call], end: str = "user-space", lost: int = 0, spans: Spans = SPANS
) -> str:
    """The file of a plugin."""
    names = list(dict.fromkeys(name for _, name, _, _ in calls))
    lines = ["functions-by-stack 1", *(f"function {name}" for name in names)]
    lines += [f"node {depth} {names.index(n) + 1} {own} {c}" for depth, n, own, c in calls]
    lines += [
        f"span {names.index(name) + 1} {' '.join(map(str, counts))}"
        for name, counts in spans.items()
        if name in names
    ]
    total = sum(own for _, _, own, _ in calls)
    return "\n".join([*lines, f"total {total} lost {lost}", f"end {end}", ""])


def profile(calls: Sequence[Call]) -> Profile:
    """What is read of it."""
    found, fault = read_profile(written(calls).encode())
    assert found and not fault, fault
    return found


SYMBOLS = ("start_kernel", "setup_arch", "memmap_init_range", "mm_core_init", "memblock_free_all")


def with_symbols(checkout: Path) -> None:
    """Gives the kernels of a checkout a System.map."""
    names = [*SYMBOLS, *(f"f{n}" for n in range(2000))]
    lines = (f"{0xFFFFFFFF81000000 + n * 16:x} T {name}\n" for n, name in enumerate(names))
    (checkout / "System.map").write_text("".join(lines))
    for path in (checkout / "kernel-patches/variants").glob("*.yaml"):
        path.write_text(path.read_text().replace("}", ", system_map: System.map}"))


def kernel_of(folder: Path) -> tuple[str, Path]:
    """Writes a kernel with a System.map beside it."""
    image, symbols = folder / "vmlinuz-6.12.0", folder / "System.map"
    image.write_bytes(bzimage("6.12.0"))
    symbols.write_text("".join(f"{0xFFFFFFFF81000000 + n:x} T f{n}\n" for n in range(2000)))
    return str(image), symbols
