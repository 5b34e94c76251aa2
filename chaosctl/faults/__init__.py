"""Stage 4, faults: one file a fault behind one small contract: inject, heal, prove."""
