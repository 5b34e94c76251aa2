"""Bots that play the arena."""
