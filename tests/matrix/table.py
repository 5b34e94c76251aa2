"""The matrix as people read it: a row a defect, a column a checker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.matrix.play import Outcome

CAUGHT, TOUCHED, UNSEEN, HELD, UNJUDGED = "**F**", "f", "?", "·", " "
LEGEND = (
    f"{CAUGHT} failed, and is meant for this defect; {TOUCHED} failed too, for the reason below; "
    f"{UNSEEN} inconclusive; {HELD} passed; empty: not judged in that experiment."
)


def checkers_of(outcomes: Iterable[Outcome]) -> list[str]:
    """Return the columns: every checker that judged anything, in the order of their first finding."""
    return list(dict.fromkeys(name.partition(".")[0] for one in outcomes for name in one.statuses))


def cell(outcome: Outcome, checker: str) -> str:
    """Return what a checker said, over all of its findings: the worst, and whether it is the one that is meant."""
    findings = {name: said for name, said in outcome.statuses.items() if name.partition(".")[0] == checker}
    if any(said == "fail" and outcome.case.is_meant(name) for name, said in findings.items()):
        return CAUGHT
    said = set(findings.values())
    return TOUCHED if "fail" in said else UNSEEN if "inconclusive" in said else HELD if said else UNJUDGED


def markdown(outcomes: Sequence[Outcome], descriptions: dict[str, str]) -> str:
    """Return the page that `docs/` keeps."""
    checkers = checkers_of(outcomes)
    rows = [f"| {one.case.name} | {' | '.join(cell(one, checker) for checker in checkers)} |" for one in outcomes]
    caught = sum(bool(one.case.defect) and not one.wrong for one in outcomes)
    planted = sum(bool(one.case.defect) for one in outcomes)
    clean = [one for one in outcomes if not one.case.defect]
    quiet = sum(not one.wrong for one in clean)
    return "\n".join(
        [
            "# Planted defects and the checkers that catch them",
            "",
            f"Made by `make matrix`. {caught} of {planted} planted defects were caught by the objective that is meant "
            f"for them, with no alarm that nothing explains; {quiet} of {len(clean)} runs of the clean arena passed.",
            "",
            LEGEND,
            "",
            f"| defect | {' | '.join(checkers)} |",
            f"|---|{'|'.join(':-:' for _ in checkers)}|",
            *rows,
            "",
            "## What each defect is, and what else it touches",
            "",
            *(line for one in outcomes if one.case.defect for line in _about(one, descriptions)),
            "",
        ]
    )


def _about(outcome: Outcome, descriptions: dict[str, str]) -> list[str]:
    case = outcome.case
    lines = [
        f"- **{case.defect}**, under `tests/matrix/{case.experiment}.yaml`: {descriptions.get(case.defect, '')}. "
        f"Meant to be caught by {', '.join(f'`{name}`' for name in case.caught_by)}."
    ]
    touched = {
        name: case.explanation(name)
        for name, said in outcome.statuses.items()
        if said != "pass" and not case.is_meant(name) and case.explanation(name) is not None
    }
    lines += [f"  - `{name}` too: {why}" for name, why in touched.items()]
    lines += [f"  - NOT AS IT SHOULD BE: {wrong}" for wrong in outcome.wrong]
    return lines
