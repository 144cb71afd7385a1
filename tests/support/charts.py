# SPDX-License-Identifier: GPL-2.0-only
"""What a chart shows, read out of its specification."""


def rows(spec, *columns):
    """The rows of every table of a chart that has these columns, each as a dict."""
    found = []
    for table in spec["datasets"].values():
        for record in table:
            flat = {key: value for key, value in record.items() if key != "variant"}
            if set(columns) <= set(flat):
                count = max([len(v) for v in flat.values() if isinstance(v, list)], default=1)
                lists = [v if isinstance(v, list) else [v] * count for v in flat.values()]
                found += [
                    {"variant": record["variant"], **dict(zip(flat, values, strict=True))}
                    for values in zip(*lists, strict=True)
                ]
    return found
