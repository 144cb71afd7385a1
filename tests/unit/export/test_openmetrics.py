# SPDX-License-Identifier: GPL-2.0-only
"""OpenMetrics text, read back by the library of Prometheus."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.export.figures import boots, figures
from harness.export.openmetrics import export


def test_prometheus_reads_openmetrics(broken):
    text = export(broken).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["pageinit_phase_seconds"].unit == "seconds"
    assert families["pageinit_host_rss_peak_bytes"].unit == "bytes"
    samples = {
        (s.labels["variant"], s.labels["machine"], s.labels["clock"], s.labels["phase"]): s.value
        for s in families["pageinit_phase_instructions"].samples
    }
    for figure in figures(broken):
        if figure.subject.metric == "instructions":
            key = (figure.variant, figure.subject.machine, figure.subject.clock, figure.name)
            assert samples[key] == figure.median
    counted = {}
    for sample in families["pageinit_boots"].samples:
        counted[sample.labels["outcome"]] = counted.get(sample.labels["outcome"], 0) + sample.value
    assert counted["panic"] == 1
    assert sum(counted.values()) == sum(cell.count for cell in boots(broken))


def test_the_words_of_a_guest_stay_in_their_label(broken):
    hostile = broken.runs.assign(machine='m"\n# EOF\\')
    phases = broken.phases.assign(machine='m"\n# EOF\\')
    found = type(broken).of(broken.tables() | {"runs": hostile, "phases": phases}, broken.lock)
    text = export(found).decode()
    assert text.count("# EOF\n") == 1 and text.endswith("# EOF\n")
    names = {
        sample.labels["machine"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "machine" in sample.labels
    }
    assert 'm"\n# EOF\\' in names
