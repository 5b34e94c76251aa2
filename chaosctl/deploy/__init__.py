"""Stage 3: a target's services, running and ready. One file a driver."""
