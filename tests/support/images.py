# SPDX-License-Identifier: GPL-2.0-only
"""Images of kernels, as much of them as is looked at."""

import struct


def bzimage(payload: bytes) -> bytes:
    """A bzImage around a payload, with setup code of three sectors and something before it."""
    head = bytearray(4 * 512)
    head[0x1F1] = 3
    head[0x202:0x206] = b"HdrS"
    head[0x206:0x208] = (0x20F).to_bytes(2, "little")
    head[0x236] = 1
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + bytes(100) + payload + bytes(50)
