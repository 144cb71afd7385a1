# SPDX-License-Identifier: GPL-2.0-only
"""Free memory of a virtual host, kept where its hypervisor would take it back.

Under free page reporting (virtio 1.2, 5.5.6.8; Linux since v5.7) a guest tells its hypervisor which
blocks of memory are free, and that drops what lies behind them. Who touches such a page next waits
for the hypervisor to find a new one, which takes several times as long (bench/results/pages.json).
Whether a boot meets such pages depends on what ran seconds before it.

Blocks smaller than a pageblock are not reported. So all the memory that a boot needs is touched
once, and given back but for one page in each pageblock. A pipe holds that page (vmsplice(2)), since
compaction moves no page that somebody else refers to. That takes 2 MiB of a GiB, and no privilege;
but only root is told by the kernel which pages share a block, others take each 512th.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import mmap
import os
import resource
from array import array
from collections.abc import Iterator
from pathlib import Path

from harness.foreign import whole
from harness.host import Diagnosis, available_memory
from harness.units import MIB, format_size

log = logging.getLogger(__name__)

REPORTING = 5
"""VIRTIO_BALLOON_F_REPORTING (include/uapi/linux/virtio_balloon.h)."""
RESERVE = 512 * MIB
"""Memory that is left to others while we touch the rest."""
WORTH = 512 * MIB
"""Need of a boot below which it is not worth the seconds that it takes."""
BESIDE = 1.25
"""Times what a boot needs: free memory is not handed out in the order in which we gave it back."""
SLACK = 256 * MIB
"""And what else takes of it meanwhile."""

_PAGE = mmap.PAGESIZE
_SLOTS = 256
"""Pages that a pipe may hold without privilege, of which there may be 64 (pipe(7))."""
_FRAME = (1 << 55) - 1
"""Of an entry of pagemap, 0 without CAP_SYS_ADMIN (Documentation/admin-guide/mm/pagemap.rst)."""
_F_SETPIPE_SZ = 1031
_MADV_POPULATE_WRITE = 23  # Linux 5.14


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def is_taken_back(sys: Path = Path("/sys")) -> bool:
    """Whether this host's hypervisor is told of free pages, which it may then take back."""
    for path in sys.glob("bus/virtio/drivers/virtio_balloon/virtio*/features"):
        with contextlib.suppress(OSError):
            if path.read_text(encoding="ascii", errors="replace")[REPORTING : REPORTING + 1] == "1":
                return True
    return False


def check() -> Diagnosis:
    """The line of ``harness doctor``."""
    if not is_taken_back():
        return Diagnosis("free pages", True, "stay with this host")
    detail = "the hypervisor takes them back; they are kept while the time clock runs"
    return Diagnosis("free pages", True, detail)


@contextlib.contextmanager
def held(need: int) -> Iterator[int]:
    """Keeps as much free memory as a boot that takes `need` bytes meets; answers how many bytes.

    The caller has the host alone meanwhile: for some seconds no other memory is free. What cannot
    be kept is said, and never an error.
    """
    # What files have cached goes first, as it would for the boot.
    size = min(int(need * BESIDE) + SLACK, available_memory() - RESERVE)
    block = _reported_block()
    size -= size % block
    if size <= 0:
        yield 0
        return
    with contextlib.ExitStack() as pipes:
        try:
            cost = _hold(size, block, pipes)
        except OSError as error:
            log.warning(f"free memory of this host cannot be kept from its hypervisor: {error}")
            size = 0
        else:
            log.info(
                f"kept {format_size(size)} of free memory from the hypervisor, which takes back"
                f" what is free: a page took {cost * 1e6:.1f} µs"
            )
        yield size


def _hold(size: int, block: int, pipes: contextlib.ExitStack) -> float:
    """Seconds of system time that a page took to touch."""
    with contextlib.closing(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
        for start in range(0, size, 256 * MIB):
            memory.madvise(_MADV_POPULATE_WRITE, start, min(256 * MIB, size - start))
        spent = resource.getrusage(resource.RUSAGE_SELF).ru_stime - before
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        kept = [address + page * _PAGE for page in _one_of_each(address, size, block)]
        for first in range(0, len(kept), _SLOTS):
            _splice(kept[first : first + _SLOTS], pipes)
    return spent / (size / _PAGE)


def _one_of_each(address: int, size: int, block: int) -> list[int]:
    """Numbers of pages from `address` on, one in each block of memory that they lie in."""
    try:
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), size // _PAGE * 8, address // _PAGE * 8)
    except OSError:
        data = b""
    entries, each = array("Q", data[: len(data) // 8 * 8]), block // _PAGE
    found: dict[int, int] = {}
    for page, entry in enumerate(entries):
        found.setdefault((entry & _FRAME) // each, page)
    if len(entries) < size // _PAGE or 0 in found:
        return list(range(each - 1, size // _PAGE, each))
    return sorted(found.values())


def _splice(pages: list[int], pipes: contextlib.ExitStack) -> None:
    """Has a pipe refer to these pages until the stack is closed."""
    ends = os.pipe()
    for end in ends:
        pipes.callback(os.close, end)
    fcntl.fcntl(ends[1], _F_SETPIPE_SZ, _SLOTS * _PAGE)
    vector = (_IoVec * len(pages))(*(_IoVec(page, _PAGE) for page in pages))
    vmsplice = ctypes.CDLL(None, use_errno=True).vmsplice
    vmsplice.restype = ctypes.c_ssize_t
    if vmsplice(ends[1], vector, ctypes.c_ulong(len(pages)), 0) != len(pages) * _PAGE:
        raise OSError(ctypes.get_errno(), "vmsplice: " + os.strerror(ctypes.get_errno()))


def _reported_block() -> int:
    """Bytes of the smallest block that is reported: a pageblock, where nobody chose another."""
    path = Path("/sys/module/page_reporting/parameters/page_reporting_order")
    try:
        order = whole(path.read_text(encoding="ascii").strip())
    except OSError:
        order = None
    return _PAGE << min(order or 9, 9)
