"""The embedded relay: Toxiproxy's HTTP API and toxics for TCP, in one epoll loop of one process.

`python -m chaosctl.relay.embedded --seed 7 --api 127.0.0.1:0`. Standard library only: it must start at once.
"""
