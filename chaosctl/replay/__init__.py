"""Stage 4, replay: feeding the target's input log to fresh copies and keeping the digests that they print."""
