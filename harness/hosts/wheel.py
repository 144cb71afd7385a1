# SPDX-License-Identifier: GPL-2.0-only
"""The harness as a wheel: the same bytes for the same code, and nothing left in the checkout.

A build backend would want the network, or write into the checkout, and stamps what it packs. The
code is pure Python, so a wheel is a zip archive with three files more; a host imports from it as
it is. What runs there needs few of the requirements: `NEEDED`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import zipfile
from pathlib import Path

from harness import __version__

PACKAGE = Path(__file__).parents[1]
NEEDED = ("lazy-loader", "pydantic", "PyYAML", "qemu.qmp")
"""Requirements of a host that boots blocks."""

_INFO = f"pageinit-{__version__}.dist-info"
_METADATA = f"Metadata-Version: 2.1\nName: pageinit\nVersion: {__version__}\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: harness\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@functools.cache
def build() -> bytes:
    """The wheel of the code that runs now."""
    files = {
        f"harness/{path.relative_to(PACKAGE)}": path.read_bytes()
        for path in sorted(PACKAGE.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
    files |= {f"{_INFO}/METADATA": _METADATA.encode(), f"{_INFO}/WHEEL": _WHEEL.encode()}
    record = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{_INFO}/RECORD"] = "\n".join([*record, f"{_INFO}/RECORD,,", ""]).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path, data in files.items():
            out.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


@functools.cache
def name() -> str:
    """The hash of the wheel, by which a host knows it."""
    return hashlib.sha256(build()).hexdigest()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
