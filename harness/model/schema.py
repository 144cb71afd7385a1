# SPDX-License-Identifier: GPL-2.0-only
"""What every model read from YAML or JSON has in common: frozen, and no unknown key."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from harness.errors import UserError
from harness.files import read_file
from harness.foreign import MAX_YAML, read_yaml


def form(pattern: str, words: str) -> AfterValidator:
    """What a text as a whole has to match; `words` say to people what that is."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{text[:100]!r} is not {words}")
        return text

    return AfterValidator(check)


Name = Annotated[
    str,
    form(
        "[a-z0-9][a-z0-9._-]{0,99}",
        "a name: up to 100 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first",
    ),
]
"""Of a variant, machine, experiment, series or fragment: a file's name, and a word of a report."""


class Model(BaseModel):
    """A frozen record. An unknown key is an error that names the file and the path to the key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Any, where: str) -> Self:
        """Validates `data`; raises `UserError` that names `where` and each bad key."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_line(cls, item) for item in _causes(error.errors())]
            raise UserError("\n  ".join(lines), where=where) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a YAML file (safe loader); its stem is given to the model as `name`."""
        try:
            data = read_yaml(read_file(path, MAX_YAML), str(path))
        except FileNotFoundError:
            raise UserError("no such file", where=str(path)) from None
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
        if not isinstance(data, dict):
            raise UserError("expected keys and values", where=str(path))
        if "name" in data:
            raise UserError("name: the file's own name is the name; drop the key", where=str(path))
        return cls.parse({"name": path.stem, **data}, str(path))


Parameter = Annotated[
    str,
    form(
        r'(?:[^\s"\x00-\x1f\x7f]|"[^"\x00-\x1f\x7f]*")+',
        "one kernel parameter; write one a list item, and spaces in double quotes",
    ),
]
Word = Annotated[str, form(r"[^\x00-\x1f\x7f]+", "a word without control characters")]


def located(path: Path | str, folder: Path) -> Path:
    """A path as a file in `folder` says it: absolute, of a home folder (``~``), or relative to it.

    Raises `UserError` for the home folder of somebody who has none.
    """
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} is no path", where=str(folder))
    try:
        return folder.absolute() / Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no such home folder", where=str(folder)) from None


M = TypeVar("M", bound=Model)


def load_named(cls: type[M], folder: Path, name: str) -> M:
    """Loads ``folder/name.yaml``; a wrong name is answered with the ones there are."""
    path = folder / f"{name}.yaml"
    if not path.is_file() or path.parent != folder:
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        near = difflib.get_close_matches(name, known, n=1)
        raise UserError(
            f"no {cls.__name__.lower()} called {name!r}",
            where=str(folder),
            remedy=(f"did you mean {near[0]!r}? " if near else "")
            + f"there are: {', '.join(known)}",
        )
    return cls.load(path)


def _causes(errors: list[Any]) -> list[Any]:
    """Without those that only follow from another: a tuple is too short for want of a bad item."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error, here in zip(errors, places, strict=True)
        if error["type"] != "too_short"
        or not any(p != here and p[: len(here)] == here for p in places)
    ]


def _line(cls: type[BaseModel], item: Any) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
    if item["type"] == "extra_forbidden":
        key = str(item["loc"][-1])
        near = difflib.get_close_matches(key, _field_names(cls, item["loc"][:-1]), n=1)
        return f"{path}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    message = item["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def _field_names(cls: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys that are legal at `location`, as far as plain nesting tells."""
    fields = cls.model_fields
    for part in location:
        if isinstance(part, int) or part not in fields:
            continue
        inner = [fields[part].annotation, *getattr(fields[part].annotation, "__args__", ())]
        models = [m for m in inner if isinstance(m, type) and issubclass(m, BaseModel)]
        if not models:
            return []
        fields = models[0].model_fields
    return list(fields)
