# SPDX-License-Identifier: GPL-2.0-only
"""Every template goes through one environment, which looks at all that is printed."""

import jinja2
import pytest
from markupsafe import Markup

from harness.report import pages

EVIL = "<b>\x1b[31m\u202e|x"


@pytest.fixture
def environment() -> jinja2.Environment:
    return pages._environment().overlay(
        loader=jinja2.DictLoader({"a.html.j2": "{{ a }}", "a.md.j2": "{{ a | md }} {{ a }}"})
    )


def test_html_is_escaped_and_markdown_is_not(environment: jinja2.Environment) -> None:
    html, text = (environment.get_template(name) for name in ("a.html.j2", "a.md.j2"))
    assert html.render(a=EVIL) == "&lt;b&gt;\ufffd[31m\ufffd|x"
    assert text.render(a=EVIL) == "&lt;b>\ufffd\\[31m\ufffd\\|x <b>\ufffd[31m\ufffd|x"
    assert html.render(a=Markup("<svg>\n<g>")) == "<svg>\n<g>"


def test_what_a_template_lacks_is_an_error(environment: jinja2.Environment) -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment.get_template("a.html.j2").render()


def test_there_is_no_other_kind_of_template() -> None:
    names = pages._environment().list_templates(extensions=["j2"])
    assert names and all(name.endswith((".html.j2", ".md.j2")) for name in names)
