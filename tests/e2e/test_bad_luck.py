"""What goes wrong around a run: services, bots, relays and disks that are not as they should be."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.harness import HELD, TINY, Ended, Place, Run, one_sentence

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def not_ready(run: Run, *parts: str) -> Ended:
    """Hold a run that could not begin to what it owes: exit code 4, the reason, nothing left, a bundle that says so."""
    ended = run.ended()
    assert ended.code == 4, ended
    reason = "\n".join(line for line in ended.err.splitlines() if not line.startswith("0:"))
    assert all(part in reason for part in parts), ended
    run.nothing_is_left()
    assert run.events()[-1]["event"] == "run_ended"
    verdict = run.verdict()
    assert (verdict["status"], verdict["exit_code"], verdict["ended"]) == ("inconclusive", 4, "failed")
    return ended


@pytest.fixture(scope="module", autouse=True)
def slow(place: Place) -> Iterator[dict[str, Run]]:
    """Runs that mostly wait: begun before all others, looked at later."""
    short = ("timeline=[]", "objectives={errors: {at_most: 5%, during: all}}", "swarm.bots=bots.py:Raiser")
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        yield {
            "raiser": place.run("raiser", *(word for value in short for word in ("--set", value))),
            "frozen": place.run("frozen", "--toxiproxy", f"127.0.0.1:{frozen.getsockname()[1]}"),
        }


# Services.


def test_a_service_that_exits_at_once_is_named_with_its_last_words(place: Place) -> None:
    said = ("tiny[0]", "with code 1", "\n  tiny: the configuration names no dragon")
    not_ready(place.run("exits", TINY_MOOD="exit"), *said)


def test_a_service_that_is_never_ready_is_named_with_its_last_words(place: Place) -> None:
    run = place.run("deaf", "--set", "target.services.tiny.ready.within=800ms", TINY_MOOD="deaf")
    not_ready(run, "tiny[0] was not ready within 0.8 s", "\n  tiny: in the mood 'deaf'")


def test_a_service_that_does_not_exist_is_named(place: Place) -> None:
    not_ready(place.run("no-program", "--set", "target.services.tiny.run=[no-such-server]"), "no-such-server")


def test_a_service_whose_port_is_taken_says_so(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = place.run("port", TINY_MOOD=str(taken.getsockname()[1]))
        not_ready(run, "tiny", "address already in use")


# Bots.


@pytest.mark.parametrize(
    ("bots", "said"),
    [
        ("bots_that_do_not_import.py:Adder", ("bots_that_do_not_import.py", "no_such_game_client")),
        ("bots.py:Addder", ("bots.py", "Addder", "Adder")),
        ("nowhere.py:Adder", ("nowhere.py",)),
    ],
)
def test_bots_that_cannot_be_had_are_named(place: Place, bots: str, said: tuple[str, ...]) -> None:
    run = place.run(f"bots-{bots.partition('.')[0]}-{bots[-5:]}", "--set", f"swarm.bots={bots}")
    ended = run.ended()
    assert ended.code in (3, 4), ended
    assert all(part in ended.err for part in said), ended
    if run.bundle.exists():
        run.nothing_is_left()


def test_bots_that_raise_in_every_operation_end_in_no_pass_and_do_not_flood(slow: dict[str, Run]) -> None:
    run = slow["raiser"]
    ended = run.ended()
    assert ended.code == 1, ended
    run.nothing_is_left()
    assert "ValueError" in ended.out + ended.err
    assert len(ended.out + ended.err) < 20_000
    assert sum(path.stat().st_size for path in (run.bundle / "logs").iterdir()) < 100_000
    assert (run.bundle / "events.jsonl").stat().st_size < 100_000


# Relays.


def test_a_toxiproxy_that_is_not_there(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        run = place.run("no-relay", "--toxiproxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
        not_ready(run, "is not there: connection refused; start it, or correct its address")


def test_a_toxiproxy_that_accepts_and_never_answers(slow: dict[str, Run]) -> None:
    not_ready(slow["frozen"], "did not answer within 5 s: it is frozen; restart it")


def test_a_toxiproxy_that_answers_500(place: Place) -> None:
    with broken_server() as url:
        not_ready(place.run("broken", "--toxiproxy", url), "answered 500", "out of cheese")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:8474", "http://:8474", "http://127.0.0.1:99999", "not a url"])
def test_a_toxiproxy_address_that_is_none(place: Place, url: str) -> None:
    ended = place.chaosctl("run", TINY, "--out", "never", "--toxiproxy", url)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"--toxiproxy {url}: is not an address such as http://127.0.0.1:8474\n"
    assert not (place.folder / "never").exists()


@pytest.mark.needs("toxiproxy")
def test_a_toxiproxy_that_freezes_in_mid_run_proves_nothing(place: Place) -> None:
    run = place.run("freezes", "--relay", "toxiproxy", file=HELD)
    run.wait_until_held()
    os.kill(run.pid_of("toxiproxy-server"), signal.SIGSTOP)
    ended = run.ended()
    assert ended.code == 6, ended
    assert run.events("crashed")[0]["part"] == "relay"
    one_sentence(ended, "does not answer any more: no answer within 5 s")
    assert run.events("cleanup_failed") == []
    run.nothing_is_left()


@contextmanager
def broken_server() -> Iterator[str]:
    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error": "out of cheese", "status": 500}'
            self.send_response(500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


# Disks.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, where this user may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    path = disk / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass
    return path


def test_a_disk_that_is_full_from_the_start(place: Place, small_disk: Path) -> None:
    fill(small_disk)
    run = place.run("full", out=small_disk / "run")
    ended = run.ended()
    assert ended.code == 4
    assert "the disk is full; free some space or choose another folder with --out" in one_sentence(ended)
    assert run.left() == []


def test_a_disk_that_fills_in_mid_run(place: Place, small_disk: Path) -> None:
    run = place.run("fills", file=HELD, out=small_disk / "run")
    run.wait_until_held()
    filler = fill(small_disk)
    ended = run.ended()
    assert ended.code not in (0, 1, 7), ended
    assert "the disk is full" in ended.err
    assert run.left() == []
    filler.unlink()
    if run.abandoned:  # that the faults were healed could not be written either
        assert place.chaosctl("restore").code == 0
    run.nothing_is_left()
    assert place.chaosctl("report", run.bundle).code == 0
    assert run.verdict()["status"] == "inconclusive"


def test_a_report_folder_that_cannot_be_written(place: Place) -> None:
    (place.folder / "a-file").write_text("in the way")
    for out in (place.folder / "a-file" / "run", Path("/proc/chaosctl-run")):
        ended = place.run("unwritable", out=out).ended()
        assert ended.code in (2, 4), ended
        assert str(out) in one_sentence(ended, "--out")


def test_a_report_folder_that_is_not_empty_is_left_alone(place: Place) -> None:
    mine = place.folder / "precious"
    mine.mkdir()
    (mine / "work.txt").write_text("years of it")
    ended = place.run("precious", out=mine).ended()
    assert ended.code == 2
    one_sentence(ended, str(mine), "empty")
    assert [path.name for path in mine.iterdir()] == ["work.txt"]
