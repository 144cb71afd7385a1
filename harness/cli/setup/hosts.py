# SPDX-License-Identifier: GPL-2.0-only
"""``harness hosts``: the hosts of a lab, and whether they are fit for experiments."""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.terminal import add_examples, add_json, print_json, print_table, project
from harness.errors import UserError
from harness.hosts import Batch, Inventory
from harness.report import Table

if TYPE_CHECKING:
    from harness.hosts import Examination, Source
    from harness.run import Executor

log = logging.getLogger(__name__)


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Looks after the hosts in hosts.yaml. `check` logs in to all of them at once"
        " over SSH and looks at what a boot needs there. Exit status 1 when one is not fit."
    )
    add_examples(
        parser,
        "harness hosts check                       # all of hosts.yaml",
        "harness hosts check big-1 big-2           # these two",
        "harness hosts check --accept-new          # and believe the keys of those not known yet",
        "harness hosts check --hosts lab.yaml --json",
        "harness run scale --hosts hosts.yaml      # boots there",
        "harness run scale --cluster slurm.yaml    # on nodes that Slurm, say, shares out",
    )
    actions = parser.add_subparsers(dest="hosts_action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="log in to each host and see what it has")
    check.add_argument("names", nargs="*", metavar="HOST", help="hosts of the file (default: all)")
    check.add_argument(
        "--hosts", metavar="FILE", help="the inventory (default: hosts.yaml in the checkout)"
    )
    check.add_argument(
        "--accept-new",
        action="store_true",
        help="record the key of a host that is not known yet; a changed one is always refused",
    )
    add_json(check)
    check.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Examines the hosts and shows what was found."""
    from harness.hosts import doctor  # paramiko takes long to load
    from harness.ssh import SYSTEM, KnownHosts, SSHTimeouts

    path = Path(arguments.hosts) if arguments.hosts else project(arguments).root / "hosts.yaml"
    inventory = Inventory.load(path)
    names = inventory.named(arguments.names)
    known = Path(inventory.known_hosts).expanduser()
    trust = KnownHosts((known, SYSTEM), known if arguments.accept_new else None)
    found = doctor.examine_all(
        inventory, names, trust, SSHTimeouts(), lambda one: log.info(f"{one.name}: {_word(one)}")
    )
    if arguments.json:
        print_json([_record(one) for one in found])
    else:
        _show(found)
    return 0 if all(one.fit for one in found) else 1


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """Adds --hosts, --cluster and --dask to what boots an experiment."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--hosts", metavar="FILE", help="boot on the hosts of this inventory, not on this one"
    )
    where.add_argument(
        "--cluster",
        metavar="FILE",
        help="boot on nodes of a batch system: which, and how many, says this file",
    )
    where.add_argument(
        "--dask", metavar="FILE", help="boot on the workers of this scheduler file of Dask"
    )


def executor_of(arguments: argparse.Namespace) -> Executor | None:
    """What boots elsewhere; the keys of the hosts of ``--hosts`` have to be known by now."""
    if not (arguments.hosts or arguments.cluster or arguments.dask):
        return None
    extra, module = ("slurm", "dask_jobqueue") if arguments.cluster else ("dask", "distributed")
    try:
        missing = find_spec(module) is None
    except ValueError:
        missing = True
    if missing:
        raise UserError(f"{module} is not installed", remedy=f"pip install pageinit[{extra}]")
    from harness.hosts import Hosts

    return Hosts(_source(arguments))


def _source(arguments: argparse.Namespace) -> Source:
    """Where workers come from."""
    from harness.hosts import Jobs, SchedulerFile, SSHHosts
    from harness.ssh import SYSTEM, KnownHosts

    if arguments.dask:
        file = Path(arguments.dask)
        if not file.is_file():
            raise UserError("no such scheduler file", where=str(file))
        return SchedulerFile(file)
    if arguments.cluster:
        return Jobs(Batch.load(Path(arguments.cluster)))
    inventory = Inventory.load(Path(arguments.hosts))
    known = KnownHosts((Path(inventory.known_hosts).expanduser(), SYSTEM))
    return SSHHosts(inventory, known)


def _word(one: Examination) -> str:
    if one.failure:
        return str(one.failure)
    return "fit" if one.fit else "lacks " + ", ".join(c.name for c in one.checks if not c.ok)


def _show(found: list[Examination]) -> None:
    names = next(([c.name for c in one.checks] for one in found if not one.failure), [])
    rows = []
    for one in found:
        details = {c.name: c.detail if c.ok else f"! {c.detail}" for c in one.checks}
        rows.append([one.name, _word(one), *(details.get(name, "") for name in names)])
    print_table(Table(["host", "", *names], rows, left=len(names) + 2))
    for one in found:
        for check in one.checks:
            if not check.ok:
                detail = (
                    f"{check.detail}\n  remedy: {check.remedy}" if one.failure else check.remedy
                )
                print(f"{one.name}: {detail.removesuffix(chr(10) + '  remedy: ')}")


def _record(one: Examination) -> dict[str, Any]:
    return {
        "host": one.name,
        "fit": one.fit,
        "failure": one.failure,
        "took_s": round(one.took_s, 3),
        "checks": [asdict(check) for check in one.checks],
        "survey": one.survey.model_dump(mode="json") if one.survey else None,
    }
