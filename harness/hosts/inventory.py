# SPDX-License-Identifier: GPL-2.0-only
"""The hosts of a lab: how to reach each, what experiments may take of it, and which of them fit.

Nodes of a batch system, which nobody logs in to, have a file of another kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from harness.errors import UserError
from harness.model import Accel, Model
from harness.ssh import Endpoint
from harness.units import Size, format_size

_SECRETS = ("passphrase", "passwd", "password", "secret", "token")

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:%_-]{0,252}$")]
User = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9._-]{0,31}$")]


class Host(Model):
    """One host: its way in, and what experiments may take of it."""

    address: Address
    """name or IP address, as this machine or the jump host knows it"""
    port: int = Field(default=22, ge=1, le=65535)
    """port of its SSH server"""
    user: User
    """who logs in there"""
    key_file: str | None = None
    """private key, `~` allowed; without it those of the agent, then those in ~/.ssh"""
    jump: Word | None = None
    """a host of this file that the connection goes through"""
    memory: Size = Field(gt=0)
    """memory that experiments may take"""
    cores: int = Field(ge=1, le=65536)
    """CPUs that they may take"""
    accel: Accel = "tcg"
    """`kvm` where KVM boots a kernel there; such a host does TCG too"""
    python: str | None = None
    """interpreter there that has what a worker needs; without it a virtual environment is made"""
    labels: tuple[Word, ...] = ()
    """words that an experiment can choose by"""

    @model_validator(mode="before")
    @classmethod
    def _keeps_no_secret(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if str(key).lower() in _SECRETS:
                raise ValueError(
                    f"{key}: no secret is taken from a file, which others may read and git may"
                    " keep; log in with a key, and leave its passphrase to ssh-agent"
                )
        return data


class Inventory(Model):
    """One file of hosts."""

    name: str
    known_hosts: str = "~/.ssh/known_hosts"
    """whom to trust, as OpenSSH writes it; `--accept-new` adds to it"""
    hosts: dict[Word, Host] = Field(min_length=1, max_length=10_000)
    """hosts by name"""

    @model_validator(mode="after")
    def _jumps_lead_somewhere(self) -> Self:
        for name in self.hosts:
            self._way(name)
        return self

    def endpoint(self, name: str) -> Endpoint:
        """How to reach one of them, through the hosts before it."""
        before: Endpoint | None = None
        for hop in self._way(name):
            host = self.hosts[hop]
            before = Endpoint(hop, host.address, host.port, host.user, host.key_file, before)
        assert before
        return before

    def _way(self, name: str) -> tuple[str, ...]:
        """The hosts on the way to one, itself last."""
        way = [name]
        while jump := self.hosts[way[0]].jump:
            if jump not in self.hosts:
                raise ValueError(f"hosts.{way[0]}.jump: there is no host {jump!r} in this file")
            if jump in way:
                raise ValueError(f"hosts.{name}.jump: goes round in a circle: {jump}")
            way.insert(0, jump)
        return tuple(way)

    def named(self, names: Iterable[str]) -> tuple[str, ...]:
        """These names, or all of them where there are none; refuses one that is not here."""
        chosen = tuple(dict.fromkeys(names)) or tuple(self.hosts)
        if unknown := [name for name in chosen if name not in self.hosts]:
            raise UserError(
                f"no host called {unknown[0]!r}", remedy=f"there are: {', '.join(self.hosts)}"
            )
        return chosen


class Batch(Model):
    """A file of ``--cluster``: nodes of a batch system, by a class of dask-jobqueue."""

    name: str
    cluster: str = Field(pattern="^[A-Z][A-Za-z]*Cluster$")
    """class of dask-jobqueue, as `SLURMCluster`"""
    jobs: int = Field(ge=1, le=10_000)
    """nodes to hold at once"""
    host: str = "$(hostname)"
    """what a job calls its node, as its shell sees it"""
    memory: Size = Field(gt=0)
    """what a node lends to boots"""
    cores: int = Field(ge=1, le=65536)
    """CPUs that a node has at least"""
    accel: Accel = "tcg"
    """`kvm` where KVM boots a kernel there"""
    labels: tuple[Word, ...] = ()
    """words that an experiment can choose by"""
    alive: str = ""
    """command that prints the ids of our jobs that wait or run"""
    options: dict[str, Any] = Field(default={})
    """more words for the class"""


@dataclass(frozen=True)
class Need:
    """What a block asks of the host that it runs on."""

    memory: int
    """bytes of the largest of its boots"""
    accel: Accel | Literal["auto"] = "auto"
    labels: tuple[str, ...] = ()


def obstacle(host: Host, need: Need) -> str | None:
    """Why a block cannot run on a host; none where it can."""
    if missing := [label for label in need.labels if label not in host.labels]:
        return f"has no label {', '.join(missing)}"
    if need.accel == "kvm" and host.accel != "kvm":
        return "has no KVM"
    if need.memory > host.memory:
        return f"lends {format_size(host.memory)}, {format_size(need.memory)} are needed"
    return None


def choose(hosts: dict[str, Host], need: Need) -> tuple[str, ...]:
    """The hosts that a block can run on, in the order of the file.

    Raises `UserError` where there is none, with what each of them lacks.
    """
    obstacles = {name: obstacle(host, need) for name, host in hosts.items()}
    if fit := tuple(name for name, why in obstacles.items() if why is None):
        return fit
    shown = [f"{name} {why}" for name, why in list(obstacles.items())[:10]]
    more = [f"and {len(obstacles) - 10} more"] if len(obstacles) > 10 else []
    raise UserError("no host fits:\n  " + "\n  ".join([*shown, *more]))
