"""Stage 4, load: the simulated users. `launcher` and `config` are the orchestrator's; the rest is for child processes.

Locust patches the process that imports it, so nothing that the orchestrator imports may import it.
"""
