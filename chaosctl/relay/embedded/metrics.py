"""Counters of the proxies, as JSON beside each proxy and as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable

from chaosctl.relay.embedded.link import STREAMS
from chaosctl.relay.embedded.proxy import Proxy

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def counters(proxy: Proxy) -> dict[str, int]:
    """Return what the proxy has carried so far: connections, and bytes handed to their receivers."""
    return {
        "connections": proxy.connections,
        "open": proxy.open,
        "upstream_bytes": proxy.traffic["upstream"].sent,
        "downstream_bytes": proxy.traffic["downstream"].sent,
        "refused_dials": proxy.refused_dials,
    }


def prometheus_text(proxies: Iterable[Proxy]) -> str:
    """Return the metrics in Prometheus' text format; the byte counters are named and labelled as Toxiproxy's."""
    proxies = list(proxies)
    lines: list[str] = []
    for name in ("received", "sent"):
        lines.append(f"# TYPE toxiproxy_proxy_{name}_bytes_total counter")
        for proxy in proxies:
            for stream in STREAMS:
                value = getattr(proxy.traffic[stream], name)
                lines.append(f'toxiproxy_proxy_{name}_bytes_total{{direction="{stream}",{_labels(proxy)}}} {value}')
    for name, kind in (("connections", "counter"), ("refused_dials", "counter"), ("open", "gauge")):
        full_name = "chaosctl_open_connections" if name == "open" else f"chaosctl_{name}_total"
        lines.append(f"# TYPE {full_name} {kind}")
        lines += [f"{full_name}{{{_labels(proxy)}}} {getattr(proxy, name)}" for proxy in proxies]
    return "\n".join(lines) + "\n"


def _labels(proxy: Proxy) -> str:
    pairs = {"proxy": proxy.name, "listener": proxy.listen, "upstream": proxy.upstream}
    return ",".join(f'{key}="{_escape(value)}"' for key, value in pairs.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
