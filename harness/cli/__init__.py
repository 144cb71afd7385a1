# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""


def main() -> int:
    """Runs one subcommand and returns the exit status."""
    return 0
