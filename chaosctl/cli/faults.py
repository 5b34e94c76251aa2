"""List the faults that can be injected.

With their parameters and an example each.

Example: chaosctl faults partition
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from chaosctl.cli.arguments import AsJson
from chaosctl.errors import UsageError


def command(
    name: Annotated[str | None, typer.Argument(help="Only this fault.", metavar="NAME")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what can be injected."""
    from chaosctl.experiment.complaints import mend
    from chaosctl.faults.registry import fault_kinds

    kinds = fault_kinds()
    if name is not None and name not in kinds:
        raise UsageError(f"there is no fault '{name}'; {mend(name, kinds, 'none')}")
    chosen = [kind for kind in kinds.values() if name in (None, kind.name)]
    if as_json:
        data = [
            {
                "name": kind.name,
                "acts_on": kind.acts_on,
                "lasting": kind.lasting,
                "summary": kind.summary,
                "example": kind.example,
                "remote": kind.acts_on == "link" or kind.through_engine,
                "parameters": kind.params.model_json_schema(by_alias=True).get("properties", {}),
            }
            for kind in chosen
        ]
        typer.echo(json.dumps(data, indent=2))
        return
    for place in ("link", "service"):
        of_place = [kind for kind in chosen if kind.acts_on == place]
        if of_place:
            typer.echo(typer.style(f"on a {place}", bold=True))
        for kind in of_place:
            typer.echo(f"\n  {typer.style(kind.name, bold=True)}  {kind.summary}")
            for field_name, field in kind.params.model_fields.items():
                typer.echo(f"      {field.alias or field_name:<12} {field.description or ''}")
            if kind.lasting != "never":
                typer.echo(
                    f"      {'for':<12} How long until it is healed"
                    + (" (may be left out)" if kind.lasting == "optional" else "")
                )
            if place == "service" and not kind.through_engine:
                typer.echo("      not with an engine of another machine")
            typer.echo(f"      e.g. {kind.example}")
        if of_place:
            typer.echo("")
