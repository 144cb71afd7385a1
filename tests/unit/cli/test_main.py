# SPDX-License-Identifier: GPL-2.0-only
"""How any command ends, whatever it was doing."""

import sys
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import BaseModel, PlainSerializer
from pydantic_core import PydanticSerializationError

from harness.cli import main


def stop(_: object) -> None:
    raise KeyboardInterrupt


class Interrupted(BaseModel):
    size: Annotated[int, PlainSerializer(stop, when_used="json")] = 1


ENDS = [
    lambda: stop(None),
    lambda: Interrupted().model_dump(mode="json"),
    lambda: Interrupted().model_dump_json(),
]


@pytest.fixture
def command(monkeypatch):
    """`harness doctor`, doing something else."""

    def doing(action):
        module = ModuleType("harness.cli.doctor")
        module.register = lambda parser: parser.set_defaults(action=lambda _: action())
        monkeypatch.setitem(sys.modules, "harness.cli.doctor", module)
        return main(["doctor"])

    return doing


@pytest.mark.parametrize("ends", ENDS)
def test_ctrl_c_is_130_wherever_it_comes(command, capsys, ends):
    assert command(ends) == 130
    assert "interrupted" in capsys.readouterr().err


def test_what_is_no_interrupt_is_not_called_one(command):
    class Broken(BaseModel):
        size: Annotated[int, PlainSerializer(lambda _: 1 / 0, when_used="json")] = 1

    with pytest.raises(PydanticSerializationError):
        command(lambda: Broken().model_dump_json())
