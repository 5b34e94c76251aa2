"""Interest management: whom a player sees. A grid makes it cost N, not N²."""

from __future__ import annotations

from collections.abc import Iterable

from arena.state import Player

RADIUS = 120
MOST_SEEN = 8


class Grid:
    """The players who are online, by cells as wide as the radius of sight.

    `everybody`, the planted defect `broadcast`: distance does not matter.
    """

    def __init__(self, players: Iterable[Player], *, everybody: bool = False) -> None:
        self._everybody = everybody
        self._cells: dict[tuple[int, int], list[Player]] = {}
        for player in players:
            if player.online:
                self._cells.setdefault((player.x // RADIUS, player.y // RADIUS), []).append(player)

    def nearest(self, player: Player) -> list[Player]:
        """Return at most 8 others within the radius, the nearest first."""
        if self._everybody:
            return [other for cell in self._cells.values() for other in cell if other is not player]
        column, row = player.x // RADIUS, player.y // RADIUS
        seen: list[tuple[int, str, Player]] = []
        for cell in ((column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
            for other in self._cells.get(cell, ()):
                distance = (other.x - player.x) ** 2 + (other.y - player.y) ** 2
                if other is not player and distance <= RADIUS**2:
                    seen.append((distance, other.name, other))
        seen.sort(key=lambda sight: sight[:2])
        return [other for _, _, other in seen[:MOST_SEEN]]


def view_line(tick: int, seen: Iterable[Player]) -> str:
    """Return the push that shows a player its surroundings."""
    return " ".join([f"* VIEW {tick}", *(f"{other.name}:{other.x}:{other.y}:{other.hp}" for other in seen)])
