"""The arena's services are a target of their own, outside of the package: make them importable here."""

from __future__ import annotations

import sys
from pathlib import Path

ARENA = Path(__file__).parents[3] / "experiments" / "arena"
if str(ARENA) not in sys.path:
    sys.path.insert(0, str(ARENA))
