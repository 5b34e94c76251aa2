"""Show what a run would do, and when.

Example: chaosctl plan experiments/arena/world-crash.yaml --seed 7
"""

from __future__ import annotations

import typer

from chaosctl.cli.arguments import DEFAULT_SEED, AsJson, ExperimentFile, Overrides, Seed, load


def command(
    file: ExperimentFile, seed: Seed = DEFAULT_SEED, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Print the plan as a table and a timeline strip, or as JSON."""
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.plan.build import build_plan
    from chaosctl.plan.codec import plan_to_json

    plan = build_plan(load(file, overrides), seed, fault_kinds())
    if as_json:
        typer.echo(plan_to_json(plan), nl=False)
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from chaosctl.plan.table import plan_rows, strip

    console = Console(highlight=False, soft_wrap=False)
    console.print(Text(f"{plan.experiment}  seed {seed}  fingerprint {plan.fingerprint}", style="bold"))
    console.print(Text(plan.hypothesis.strip()))
    console.print()
    for line in strip(plan, min(console.width, 120)):
        console.print(Text(line, no_wrap=True))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("at", "what", "on", "how", "until"):
        table.add_column(title, overflow="fold")
    for row in plan_rows(plan):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
