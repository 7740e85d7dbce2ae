"""bin/bench [--quick] [--json] [NAME ...]: each figure beside its floor; exit 1 when a target is not reached."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from benchmarks import answer_webhook, api_calls, call_import, dispatch, draw, timelapse
from benchmarks.frame import FULL, QUICK, Benchmark, Figure

BENCHMARKS: dict[str, Benchmark] = {
    "answer-webhook": answer_webhook.measure,
    "api-calls": api_calls.measure,
    "call-import": call_import.measure,
    "dispatch": dispatch.measure,
    "draw-decisions": draw.decisions,
    "draw-whole": draw.whole,
    "time-lapse": timelapse.measure,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="A short run: enough to see that everything works.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a figure.")
@click.pass_context
def bench(ctx: click.Context, names: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure the figures named (all of them unless told)."""
    figures = [BENCHMARKS[name](QUICK if quick else FULL) for name in names or BENCHMARKS]
    if as_json:
        for figure in figures:
            click.echo(figure.as_line())
    else:
        Console().print(table(figures))
    if not all(figure.reached for figure in figures):
        ctx.exit(1)


def table(figures: list[Figure]) -> Table:
    """The figures for a person."""
    shown = Table(title="Ours beside the floor, in one run")
    for column in ("figure", "ours", "floor", "unit", "ratio", "target", ""):
        shown.add_column(column, justify="left" if column in {"figure", "unit", ""} else "right")
    for f in figures:
        cells = (f.name, f"{f.ours:,.1f}", f"{f.floor:,.1f}", f.unit, f"{f.ratio:.2f}", f"{f.target:.2f}")
        shown.add_row(*cells, ("reached" if f.reached else "missed") + (f" ({f.note})" if f.note else ""))
    return shown


if __name__ == "__main__":
    bench()
