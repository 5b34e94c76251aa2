"""Stage 4, the ruler: one question at a fixed cadence, through the relay and beside it, in a process of its own."""
