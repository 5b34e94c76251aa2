"""Runs the whole matrix, or the cases named, or the clean arena over and over, and says what came of it.

python -m tests.matrix [--jobs 2] [--page docs/matrix.md] [NAME ...]
python -m tests.matrix --soak 50
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conftest import NEEDS
from tests.matrix.cases import Case
from tests.matrix.planted import CASES, descriptions
from tests.matrix.play import Outcome, play
from tests.matrix.table import LEGEND, cell, checkers_of, markdown

console = Console()


def main() -> int:
    """Return 0 if everything is as it should be, 1 if not, 2 for a name that is not there."""
    asked = _arguments()
    if unknown := set(asked.names) - {case.name for case in CASES}:
        console.print(f"no case is called {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}")
        return 2
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="chaosctl-matrix-"))
    wanted = [case for case in CASES if not asked.names or case.name in asked.names]
    possible = [case for case in wanted if _possible(case)]
    todo = list(_soaking(possible, asked.soak)) if asked.soak else [(case, asked.seed) for case in possible]
    outcomes = list(_played(todo, folder, asked.jobs))
    if not asked.soak:
        _print_table(outcomes)
        if asked.page is not None and not asked.names:
            asked.page.write_text(markdown(outcomes, descriptions()))
    wrong = [one for one in outcomes if one.wrong]
    skipped = len(wanted) - len(possible)
    console.print(
        f"{len(outcomes) - len(wrong)} of {len(outcomes)} as they should be"
        f"{f', {skipped} not played' if skipped else ''}; the runs are in {folder}"
    )
    return 1 if wrong else 0


def _possible(case: Case) -> bool:
    """Say whether this machine has what the case needs; where it is required (as in CI), it is played all the same."""
    required = set(filter(None, os.environ.get("CHAOSCTL_REQUIRE", "").split(",")))
    for part in case.needs:
        here, reason = NEEDS[part]
        if part not in required and not here():
            console.print(f"skip  {case.name}: {reason}", highlight=False)
            return False
    return True


def _soaking(cases: Iterable[Case], runs: int) -> Iterator[tuple[Case, int]]:
    """Yield so many runs of the clean arena: its experiments in turn, another seed each round."""
    clean = [case for case in cases if not case.defect]
    return ((case, seed) for seed, case in islice(product(range(1, runs + 1), clean), runs))


def _played(todo: list[tuple[Case, int]], folder: Path, jobs: int) -> Iterator[Outcome]:
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        for (case, seed), outcome in zip(
            todo, pool.map(lambda one: play(one[0], folder, seed=one[1]), todo), strict=True
        ):
            console.print(f"{'wrong' if outcome.wrong else 'ok':<6}{case.name} (seed {seed})", highlight=False)
            for sentence in outcome.wrong:
                console.print(f"      {sentence}", highlight=False, markup=False)
            yield outcome


def _print_table(outcomes: list[Outcome]) -> None:
    checkers = checkers_of(outcomes)
    table = Table("defect", *checkers, title="defect x checker", caption=LEGEND.replace("**", ""))
    for one in outcomes:
        table.add_row(one.case.name, *(cell(one, checker).replace("**", "") for checker in checkers))
    Console(width=max(console.width, 24 + 14 * len(checkers))).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these cases")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the runs")
    parser.add_argument(
        "--soak", type=int, default=0, help="so many runs of the clean arena instead, seeds 1, 2, 3 ..."
    )
    parser.add_argument("--page", type=Path, help="write the table here too")
    parser.add_argument("--keep", type=Path, help="the folder of the runs' bundles")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
