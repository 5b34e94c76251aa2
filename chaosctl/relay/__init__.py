"""Stage 4, links: a Toxiproxy server or the embedded relay, behind one contract."""
