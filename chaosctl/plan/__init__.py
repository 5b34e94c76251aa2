"""Stage 2: from an experiment and a seed to a `Plan`: plain data, computed whole before anything runs."""
