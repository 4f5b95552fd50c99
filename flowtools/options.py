"""Options that several commands share, each defined once."""

import click

count = click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after N events. Default: go on until stopped.",
)
