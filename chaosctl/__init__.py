"""chaosctl: load, faults and proof for stateful, real-time servers."""

__version__ = "0.1.0"
