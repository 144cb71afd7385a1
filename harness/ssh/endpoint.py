# SPDX-License-Identifier: GPL-2.0-only
"""Where an SSH server is and who logs in there, and how long each step of that may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """An SSH server, and the way to it."""

    name: str
    """what errors call it"""
    address: str
    """name or IP address, as this machine or the jump host knows it"""
    port: int
    user: str
    """who logs in"""
    key: str | None = None
    """file of the private key, `~` allowed; without it those of the agent, then those in ~/.ssh"""
    jump: Endpoint | None = None
    """the host that the connection goes through"""

    @property
    def route(self) -> tuple[Endpoint, ...]:
        """The hosts on the way to it, itself last."""
        way = [self]
        while jump := way[0].jump:
            way.insert(0, jump)
        return tuple(way)


@dataclass(frozen=True)
class SSHTimeouts:
    """Seconds for each step on the way in, and for a command that has none of its own."""

    connect_s: float = 10
    banner_s: float = 10
    login_s: float = 15
    command_s: float = 30
