"""What is wrong with an experiment, before it is known where in the file that stands; and the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]
_LISTED = 12


@dataclass(frozen=True)
class Complaint:
    """One thing wrong at `path` (`("timeline", 0, "on")`). `at_key`: the key itself is wrong, not its value.

    `text` is `what is wrong; what to write instead`.
    """

    path: Path
    text: str
    at_key: bool = False


def mend(word: str, known: Iterable[str], none: str) -> str:
    """Return `did you mean 'x'?`, else the list of what is known, else (nothing is known) `none`."""
    names = sorted(set(known))
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    if not names:
        return none
    more = ", ..." if len(names) > _LISTED else ""
    return f"there is: {', '.join(names[:_LISTED])}{more}"


def dotted(path: Path) -> str:
    """Return `timeline[0].on`, as `--set` and messages write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
