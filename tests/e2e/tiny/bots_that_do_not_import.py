"""Bots that lack what they need."""

import no_such_game_client  # noqa: F401
