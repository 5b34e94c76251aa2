"""What undoes burners, as data: they end, found by the mark of their fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaosctl.safety.label import burners_of, end_found

# They put back what they have changed of others, and end.
_WITHIN_S = 1.0


@dataclass(frozen=True)
class BurnersUndo:
    """End what burns or holds something for one fault."""

    mark: str
    do: Literal["burners"] = "burners"


def end_burners(action: BurnersUndo) -> tuple[bool, str]:
    """End them, or find none. Return whether none is left, and a sentence for people."""
    ended, left = end_found(lambda: burners_of(action.mark), _WITHIN_S)
    if left:
        return False, "; ".join(left)
    return True, f"ended {ended} burners" if ended else "no burner is left: nothing to undo"
