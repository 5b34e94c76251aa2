"""Which replicas stand in which group of a fault that parts them, when it is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.groups import REST, Groups
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import On, parse_on
from chaosctl.runner.roles import Answers, AskRoles, having_role, in_words

Member = tuple[str, int]
"""A replica: its service and its number."""


@dataclass
class Parting:
    """Resolves groups; each service is asked for its roles once at most. `roles` is what its replicas said."""

    services: Mapping[str, Service]
    ask: AskRoles
    roles: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, Answers] = field(default_factory=dict)

    def members(self, groups: Groups, on: On) -> tuple[tuple[Member, ...], ...]:
        """Return the replicas of each group; `on` is what the rest is of. Raises NotReadyError where a role leaves it
        open, or nobody is in a group."""
        named = [{one for text in group if text != REST for one in self._of(parse_on(text))} for group in groups]
        rest = set(self._of(on)).difference(*named)
        found = [members | rest if REST in group else members for members, group in zip(named, groups, strict=True)]
        for members, group in zip(found, groups, strict=True):
            if not members:
                raise NotReadyError(f"nobody is in the group '{', '.join(group)}', so there is nobody to part it from")
        return tuple(tuple(sorted(members)) for members in found)

    def _of(self, on: On) -> Sequence[Member]:
        if on.role is not None:
            if on.name not in self._asked:
                self._asked[on.name] = self.ask(on.name)
                self.roles |= in_words(on.name, self._asked[on.name])
            indexes: Sequence[int] = having_role(on, self._asked[on.name])
        else:
            indexes = on.replicas if on.replicas is not None else range(self.services[on.name].replicas)
        return [(on.name, index) for index in indexes]
