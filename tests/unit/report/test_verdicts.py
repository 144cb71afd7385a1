# SPDX-License-Identifier: GPL-2.0-only
"""The comparison in the report: what is told at once, what is folded, and growth with memory."""

from dataclasses import replace

from harness.report.figures import growths
from harness.report.verdicts import HEAD, UNTOLD, compared, growth_tables, verdicts
from tests.support.charts import rows


def test_verdicts_carry_the_marks_of_their_variants(context):
    found = compared(context.dataset)
    section = verdicts(context, found)
    shown = section.tables[0]
    at = shown.head.index("variant")
    assert {row[at] for row in shown.rows} == {
        w.name for v, w in context.who.items() if v != "eager"
    }
    assert shown.head.index("verdict") < shown.left
    assert len(section.figures) == 2
    folded = [table for table in section.tables if table.folded]
    assert folded and all(table.caption.startswith("All: ") for table in folded)


def test_the_intervals_have_the_order_of_the_legend(scale):
    section = verdicts(scale, compared(scale.dataset))
    shown = sorted(rows(section.figures[0].spec, "word"), key=lambda row: row["row"])
    places = {who.name: who.place for who in scale.who.values()}
    owners = [places[row["variant"]] for row in shown]
    each = len(set(owners))
    assert len(owners) > 5 * each and owners == sorted(set(owners)) * (len(owners) // each)


def test_where_nothing_is_compared_there_is_no_verdict(context):
    dataset = context.dataset
    alone = replace(dataset, runs=dataset.runs[dataset.runs["variant"] != "eager"])
    assert compared(alone) is None and compared(replace(dataset, lock=None)) is None
    assert verdicts(context, None).empty


def test_lines_say_what_is_extrapolated(context, scale):
    found = compared(scale.dataset)
    short, every = growth_tables(scale, found)
    assert every.folded and len(every.rows) > len(short.rows)
    assert short.head[-1] == "at 59TiB"
    assert {row[-1].endswith("extrapolated") for row in short.rows} == {True, False}
    # Two sizes make no line.
    assert not list(growth_tables(context, compared(context.dataset)))
    drawn = {f.caption.partition(":")[0]: f.spec for f in growths(scale, found)}
    work = drawn["memmap_init against guest memory, work clock"]
    # Only those that initialise all of it at once are straight.
    beyond = {row["variant"] for row in rows(work, "value") if row["kind"] == "beyond"}
    far = [row for row in rows(work, "more") if row["kind"] == "extrapolated"]
    assert beyond == {row["variant"] for row in far} and len(far) == 3
    assert all(row["more"] == ", EXTRAPOLATED" for row in far)


def test_what_stands_open_tells_a_difference_of_the_headline(scale):
    section = verdicts(scale, compared(scale.dataset))
    told = [table for table in section.tables if not table.folded and "verdict" in table.head]
    for table in told:
        words, names = (table.head.index(key) for key in ("verdict", "metric"))
        assert not [row for row in table.rows if row[words].startswith(UNTOLD)]
        assert {row[names].partition(" ")[0] for row in table.rows} <= HEAD
    folded = [table for table in section.tables if table.folded]
    assert sum(len(table.rows) for table in folded) > sum(len(table.rows) for table in told)


def test_an_interval_that_is_drawn_has_its_change_in_it(context):
    figures = verdicts(context, compared(context.dataset)).figures
    drawn = [row for figure in figures for row in rows(figure.spec, "ratio", "said")]
    whole = [row for row in drawn if row.get("low") is not None and row.get("high") is not None]
    assert whole and all(row["low"] <= row["ratio"] <= row["high"] for row in whole)
    assert {row["variant"] for row in drawn} < {who.name for who in context.who.values()}
