"""The reference target: a small multiplayer deployment of gateways, an authoritative world and a ledger."""
