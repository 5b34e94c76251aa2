"""Who is the leader now, by what every replica of a service says of itself. Pure.

Who has a role is never guessed: nobody, or more than one where one is meant, and the fault cannot be injected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.experiment.places import On

LEADER = "leader"
_SHOWN = 80


@dataclass(frozen=True)
class RoleAnswer:
    """What one replica said: its `role`, or None and why there is none."""

    role: str | None
    why: str = ""


Answers = Mapping[int, RoleAnswer]
AskRoles = Callable[[str], Answers]


def role_in(text: bytes) -> RoleAnswer:
    """Return the role that a status names. Raises ValueError for what is no JSON."""
    status: Any = json.loads(text)
    role = status.get("role") if isinstance(status, dict) else None
    if isinstance(role, str) and role:
        return RoleAnswer(role)
    return RoleAnswer(None, f"its status names no role: {text[:_SHOWN].decode(errors='replace').strip()}")


def having_role(on: On, answers: Answers) -> tuple[int, ...]:
    """Return the replicas that `on` means. Raises NotReadyError where the answers leave that open."""
    found = tuple(index for index, answer in sorted(answers.items()) if answer.role == on.role)
    said = "; ".join(f"{name}: {words}" for name, words in in_words(on.name, answers).items())
    if not found:
        raise NotReadyError(f"no replica of {on.name} says that it is {on.role} ({said}); look at its status")
    if len(found) > 1 and not on.every:
        mend = f"write 'every {on.role} of {on.name}' if all of them are meant"
        raise NotReadyError(f"{len(found)} replicas of {on.name} say that they are {on.role} ({said}); {mend}")
    return found


def leader_or_first(answers: Answers) -> int:
    """Return the replica that says that it is the leader, or 0 where none does."""
    return next((index for index, answer in sorted(answers.items()) if answer.role == LEADER), 0)


def in_words(service: str, answers: Answers) -> dict[str, str]:
    """Return what each replica said, by its name."""
    return {
        f"{service}[{index}]": answer.role if answer.role is not None else f"no role ({answer.why})"
        for index, answer in sorted(answers.items())
    }
