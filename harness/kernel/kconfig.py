# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configuration: fragments and `.config`, merged without silent overrides, and compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.foreign import whole
from harness.model import Machine

_SET = re.compile(r'CONFIG_(\w+)=(y|m|n|0[xX][0-9a-fA-F]+|-?\d+|"(?:[^"\\]|\\.)*")')
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")
_NUMBER = re.compile(r"-?[0-9]{1,40}|0[xX][0-9a-fA-F]{1,40}")


@dataclass(frozen=True)
class Option:
    """One option as a file sets it; ``n`` stands for "is not set" too."""

    name: str
    value: str
    where: str

    def __str__(self) -> str:
        return f"CONFIG_{self.name}={self.value}"


Config = Mapping[str, Option]


@dataclass(frozen=True)
class Missing:
    """An option that was asked for, and what the kernel's configuration made of it."""

    asked: Option
    got: str


def parse(text: str, where: str) -> dict[str, Option]:
    """Reads a fragment or a `.config`; `where` names it in errors and in each option.

    Raises `ConfigError` for a line that is neither an option nor a comment, and for an option set
    twice to different values.
    """
    options: dict[str, Option] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line, place = raw.strip(), f"{where}:{number}"
        if match := _UNSET.fullmatch(line):
            option = Option(match[1], "n", place)
        elif not line or line.startswith("#"):
            continue
        elif match := _SET.fullmatch(line):
            option = Option(match[1], match[2], place)
        else:
            raise ConfigError(f"not an option: {line!r} (write CONFIG_NAME=y)", where=place)
        _add(options, option)
    return options


def merge(fragments: Iterable[Config]) -> dict[str, Option]:
    """All options of all fragments; raises `ConfigError` that names both places of each conflict.

    The order of the fragments does not matter: none overrides another.
    """
    merged: dict[str, Option] = {}
    conflicts = []
    for fragment in fragments:
        for option in fragment.values():
            try:
                _add(merged, option)
            except ConfigError as error:
                conflicts.append(error.what)
    if conflicts:
        raise ConfigError(
            "\n  ".join(["fragments disagree:", *conflicts]),
            remedy="make one of them leave the option out, or do not combine them",
        )
    return merged


def overridden(config: Config, by: Mapping[str, str], where: str) -> dict[str, Option]:
    """The options with those that `where` names set otherwise; raises `ConfigError` where that
    is no change, or an option that nobody asked for."""
    changed = dict(config)
    for name, value in by.items():
        option = Option(name.removeprefix("CONFIG_"), value, where)
        first = changed.get(option.name)
        if first is None or _equal(first.value, value):
            said = f"{first.where} says so" if first else "no fragment sets it otherwise"
            raise ConfigError(
                f"options: {name}={value} overrides nothing: {said}",
                where=where,
                remedy="leave it out, or name it in a fragment of kernel-patches/configs",
            )
        changed[option.name] = option
    return changed


def _add(options: dict[str, Option], option: Option) -> None:
    first = options.setdefault(option.name, option)
    if not _equal(first.value, option.value):
        raise ConfigError(f"{first.where}: {first}, but {option.where}: {option}")


def render(config: Config) -> str:
    """The text of a configuration: sorted, so that equal configurations have equal text."""
    return "".join(f"{config[name]}\n" for name in sorted(config))


def missing(asked: Config, got: Config) -> tuple[Missing, ...]:
    """The options of `asked` that `got` does not have with the same value."""
    absent = []
    for name in sorted(asked):
        value = got[name].value if name in got else "n"
        if not _equal(asked[name].value, value):
            absent.append(Missing(asked[name], value))
    return tuple(absent)


def definitions(kconfig: str, name: str) -> list[str]:
    """The blocks of a Kconfig file that define an option, without their help texts."""
    blocks: list[str] = []
    inside = False
    for line in kconfig.splitlines():
        words = line.split()
        if re.match(rf"\s*(menu)?config\s+{name}\s*$", line):
            blocks.append("")
            inside = True
        elif (not line.startswith((" ", "\t")) and words) or words[:1] == ["help"]:
            inside = False
        if inside:
            blocks[-1] += line + "\n"
    return blocks


def explain(lost: Missing, blocks: Iterable[str], got: Config) -> str:
    """Why an option was probably dropped, from its definitions and the final configuration."""
    blocks = list(blocks)
    name = lost.asked.name
    if not blocks:
        return f"no Kconfig file of this kernel knows {name}: a wrong name, or a missing patch"
    if not any(
        re.search(r'^\s*(prompt|bool|tristate|int|hex|string)\s+"', b, re.M) for b in blocks
    ):
        return f"{name} has no prompt: it cannot be set, only selected by another option"
    depends = [d for b in blocks for d in re.findall(r"^\s*depends on (.+)$", b, re.M)]
    off = [
        symbol
        for symbol in dict.fromkeys(re.findall(r"\b[A-Z0-9_]{2,}\b", " ".join(depends)))
        if symbol not in got or got[symbol].value == "n"
    ]
    if lost.asked.value == "n":
        return "another option selects it, or its default forces it"
    if off:
        return f"it depends on {' && '.join(depends)}, of which {', '.join(off)} is off"
    return "it may lie in a menu or `if` block that is off, or be a choice that another value took"


_DRIVERS = ("PCI", "VIRTIO_PCI", "VIRTIO_BLK")
_FILE_SYSTEMS = ("EXT4_FS", "XFS_FS", "BTRFS_FS", "EXT2_FS", "F2FS_FS", "EROFS_FS")


def values(text: str) -> dict[str, str]:
    """The options of a finished `.config`, whoever made it; what is no option is passed over."""
    unset = re.findall(rf"^{_UNSET.pattern}$", text, re.M)
    return dict.fromkeys(unset, "n") | dict(re.findall(rf"^{_SET.pattern}$", text, re.M))


def read(path: Path | None) -> dict[str, str]:
    """The `values` of a file; nothing where there is none."""
    if path is None or not path.is_file():
        return {}
    return values(path.read_text(encoding="utf-8", errors="replace"))


def hz(config: Mapping[str, str]) -> int | None:
    """Ticks a second, by what was chosen or what follows from it; none where neither is known."""
    chosen = (name[3:] for name, value in config.items() if name[:3] == "HZ_" and value == "y")
    known = [config.get("HZ", ""), *chosen]
    return next((rate for rate in map(whole, known) if rate), None)


def obstacle(config: Mapping[str, str], machine: Machine, *, disk: bool = False) -> str | None:
    """Why a kernel of this configuration cannot run all of a machine; none where nothing says so.

    With `disk` it has to find its root file system on a disk of virtio, where no initramfs brings
    modules.
    """
    most, shift = (whole(config.get(name, "")) for name in ("NR_CPUS", "NODES_SHIFT"))
    if most is not None and most < machine.cpus:
        return f"the kernel is built for CONFIG_NR_CPUS={most}, the machine has {machine.cpus} CPUs"
    nodes = 1 if config.get("NUMA") == "n" else 1 << min(shift, 62) if shift is not None else None
    if nodes is not None and nodes < len(machine.nodes):
        return f"the kernel is built for {nodes} nodes, the machine has {len(machine.nodes)}"
    if not disk or not config:
        return None
    for name in _DRIVERS:
        if config.get(name) != "y":
            return f"the kernel cannot reach the disk of an image: {_is(config, name)}"
    if not any(config.get(name) == "y" for name in _FILE_SYSTEMS):
        some = ", ".join(_is(config, name) for name in _FILE_SYSTEMS if name in config)
        return f"the kernel has no file system built in that an image has: {some or 'none set'}"
    return None


def _is(config: Mapping[str, str], name: str) -> str:
    return f"CONFIG_{name}=m is a module" if config.get(name) == "m" else f"CONFIG_{name} is off"


def _equal(a: str, b: str) -> bool:
    if _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b):
        return _number(a) == _number(b)
    return a == b


def _number(text: str) -> int:
    return int(text, 16 if text.lower().startswith("0x") else 10)
