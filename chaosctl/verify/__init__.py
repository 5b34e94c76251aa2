"""Stage 6: a recording in, a verdict out. Pure: no network, no engine, no load generator."""
