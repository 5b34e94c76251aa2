"""A dry run: every call that a run would make, by the code that makes them, against stand-ins that note."""
