# SPDX-License-Identifier: GPL-2.0-only
"""The way to a host, jump by jump."""

from hypothesis import given
from hypothesis import strategies as st

from harness.ssh.endpoint import Endpoint


@given(names=st.lists(st.text(min_size=1), min_size=1, max_size=9))
def test_the_way_leads_from_the_first_host_to_the_last(names):
    endpoint = None
    for name in names:
        endpoint = Endpoint(name, name, 22, "u", jump=endpoint)
    assert [hop.name for hop in endpoint.route] == names
    assert endpoint.route[-1] is endpoint and endpoint.route[0].jump is None
