"""Stage 4: plays a plan on one clock; always heals; always tears down."""
