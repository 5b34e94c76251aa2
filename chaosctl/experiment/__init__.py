"""Stage 1: from a file to an `Experiment`, with every mistake in it named at its line and column."""
