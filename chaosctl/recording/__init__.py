"""Stage 5: what a run leaves on disk, written so that a crash at any byte leaves it readable, and read back."""
