# SPDX-License-Identifier: GPL-2.0-only
"""Programs on a host that say what no worker of ours would."""

from harness.ssh.connection import Done


class Says:
    """One that says these pieces, whatever it is asked, and then ends or is silent."""

    def __init__(self, *pieces, status=0, silent=False):
        self.pieces, self.status, self.silent = list(pieces), status, silent

    def say(self, data, limit_s):
        pass

    def hear(self, limit_s):
        if self.pieces:
            return self.pieces.pop(0)
        return None if self.silent else b""

    def end(self):
        return Done(self.status, b"", b"sh: 1: python3: not found\n")
