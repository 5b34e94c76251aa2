"""How the faults on links are proved: the same question through the relay and beside it, and what the two met.

Nothing here asks the relay what it believes to be doing.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chaosctl.exchange import Exchange, exchange, question
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import format_duration
from chaosctl.faults.contract import Place, Proof, ProxyControl

# A proof may take 2 s (the fault contract): so much for the direct way, so much for the way through the relay.
DIRECT_S = 0.5
THROUGH_S = 1.2
DIRECT_TIMES = 5
# So many proxies are looked at, at once; of more, a sample spread evenly.
MOST_PROXIES = 16
# What a proof may send or read in one go, and how long the effect has to be to stand out.
MOST_BYTES = 256 * 1024
MOST_QUESTIONS = 8192
AIM_NS = 300_000_000
VISIBLE_NS = 150_000_000


@dataclass(frozen=True)
class Delay:
    """How long an answer takes through the relay and directly; `censored`: through the relay it took longer still.

    `sent_bytes` and `answer_bytes` are what one direct exchange carried each way.
    """

    through_ns: int
    direct_ns: int
    censored: bool
    sent_bytes: int
    answer_bytes: int

    @property
    def added_ns(self) -> int:
        """Return what the way through the relay adds (at least, if censored)."""
        return self.through_ns - self.direct_ns

    def __str__(self) -> str:
        more = "more than " if self.censored else ""
        return (
            f"answers take {more}{format_duration(self.through_ns)} through the relay and "
            f"{format_duration(self.direct_ns)} directly: {more}{format_duration(self.added_ns)} added"
        )


def prove_each(place: Place, look: Callable[[ProxyControl, Hello], Proof]) -> Proof:
    """Look at every proxy of the place with its question, all at once; proved if each is. Says which is not."""
    if place.hello is None:
        mend = f"declare `probe:` for the service that {place.on} leads to"
        return Proof(False, f"not looked at, since there is no question to ask: {mend}")
    hello = place.hello
    return join_looks(place, lambda proxy: look(proxy, hello))


def join_looks(place: Place, look: Callable[[ProxyControl], Proof]) -> Proof:
    """Look at every proxy of the place, all at once; proved if each is. The text is that of the worst."""
    if not place.proxies:
        return Proof(False, f"{place.on} has no relay to look at")
    chosen = place.proxies[:: math.ceil(len(place.proxies) / MOST_PROXIES)]
    with ThreadPoolExecutor(len(chosen), thread_name_prefix="look") as pool:
        proofs = list(pool.map(look, chosen))
    missed = [index for index, proof in enumerate(proofs) if not proof.proved]
    shown = missed[0] if missed else 0
    if len(place.proxies) == 1:
        return proofs[0]
    of_all = f"{len(chosen) - len(missed)} of {len(chosen)} relays looked at show it"
    return Proof(not missed, f"{of_all}; {chosen[shown].name}: {proofs[shown].text}")


def delay_of(proxy: ProxyControl, hello: Hello, times: int = 1, repeat: int = 1) -> Delay | Proof:
    """Return the median delays of up to `times` exchanges each way, or why there are none, as an unproved proof."""
    direct = _ask(proxy.upstream, hello, min(times, DIRECT_TIMES), repeat, DIRECT_S)
    if direct[0].outcome != "answered":
        return Proof(False, f"the service itself does not answer: {direct[0].outcome} at {proxy.upstream}")
    through = _ask(proxy.listen, hello, times, repeat, THROUGH_S)
    if through[0].outcome not in ("answered", "silent"):
        return Proof(False, f"through the relay the question was not answered: {through[0].outcome}")
    return Delay(
        through_ns=_median_ns(through),
        direct_ns=_median_ns(direct),
        censored=through[0].outcome == "silent",
        sent_bytes=len(question(hello, proxy.upstream, repeat)),
        answer_bytes=direct[0].bytes_received,
    )


def _ask(address: str, hello: Hello, times: int, repeat: int, within_s: float) -> list[Exchange]:
    """Ask up to `times` times, until one is not answered or the time is over."""
    until_s = time.monotonic() + within_s
    asked = [exchange(address, hello, within_s, repeat=repeat)]
    while asked[-1].outcome == "answered" and len(asked) < times and (left_s := until_s - time.monotonic()) > 0:
        asked.append(exchange(address, hello, left_s, repeat=repeat))
    return asked


def _median_ns(asked: list[Exchange]) -> int:
    # An exchange that the bound cut short after others were answered says nothing of its own.
    whole = [one for one in asked if one.outcome == "answered"] or asked
    return round(statistics.median(one.end_ns - (one.connected_ns or one.sent_ns) for one in whole))


def prove_slow(proxy: ProxyControl, hello: Hello, added_ns: Callable[[int, int], float], *, healed: bool) -> Proof:
    """Ask so often in one go that the relay must add about 0.3 s, and see whether it does (or, `healed`, does not).

    `added_ns(sent bytes, answered bytes)` is what the fault adds at least. Half of it has to be seen, since what the
    service itself takes overlaps with it. Bounded by `MOST_BYTES` and `MOST_QUESTIONS`.
    """
    size = size_of(proxy, hello)
    if isinstance(size, Proof):
        return size
    repeat = repeats(size, AIM_NS / max(1.0, added_ns(*size)))
    delay = delay_of(proxy, hello, repeat=repeat)
    if isinstance(delay, Proof):
        return delay
    carried = f"{repeat} questions in one go ({delay.sent_bytes} bytes, {delay.answer_bytes} answered)"
    expected_ns = added_ns(delay.sent_bytes, delay.answer_bytes)
    if expected_ns < VISIBLE_NS:
        little = f"the fault adds {format_duration(expected_ns)} to them, too little to tell"
        return Proof(False, f"not seen: a proof sends at most {carried}, and {little}")
    slow = delay.added_ns >= expected_ns / 2
    proved = not slow and not delay.censored if healed else slow
    return Proof(proved, f"{carried}: {delay}; the fault asked for {format_duration(expected_ns)} or more")


def size_of(proxy: ProxyControl, hello: Hello) -> tuple[int, int] | Proof:
    """Return the bytes of a question and, about, of its answer; an unproved proof if the service does not answer."""
    two = exchange(proxy.upstream, hello, DIRECT_S, repeat=2)
    if two.outcome != "answered":
        return Proof(False, f"the service itself does not answer two questions in one go: {two.outcome}")
    return len(question(hello, proxy.upstream, 2)) // 2, max(1, two.bytes_received // 2)


def repeats(size: tuple[int, int], wanted: float) -> int:
    """Return how often to ask in one go: as often as wanted, within the bounds of a proof."""
    return max(1, min(MOST_QUESTIONS, MOST_BYTES // max(size), math.ceil(wanted)))
