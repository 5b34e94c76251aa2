"""Print the JSON Schema of experiments.

For editors and other programs.

Example: chaosctl schema > experiment.schema.json
"""

from __future__ import annotations

import json

import typer


def command() -> None:
    """Print the schema."""
    typer.echo(schema_text(), nl=False)


def schema_text() -> str:
    """Return the schema with every installed fault and objective, as JSON text."""
    from chaosctl.experiment.schema import experiment_schema
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.verify.registry import objective_kinds

    return json.dumps(experiment_schema(fault_kinds(), objective_kinds()), indent=2, ensure_ascii=False) + "\n"
