"""Where an engine listens: what DOCKER_HOST may say, and a way to it that nobody else can read."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from chaosctl.safety.engine_address import CERTIFICATES, DEFAULT_SOCKET, address_of, connect, host_of, is_remote, shown


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("", DEFAULT_SOCKET),
        ("unix:///run/other.sock", "/run/other.sock"),
        ("tcp://10.0.0.1:4000", "tcp://10.0.0.1:4000"),
        ("tcp://box", "tcp://box:2375"),
        ("tcp://[::1]:4000/", "tcp://[::1]:4000"),
    ],
)
def test_what_it_may_say(host: str, address: str) -> None:
    assert address_of({"DOCKER_HOST": host}) == address
    assert is_remote(address) is host.startswith("tcp")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("ssh://me@box", r"`ssh -N -L 127.0.0.1:2375:/var/run/docker.sock me@box`, set DOCKER_HOST=tcp://127.0.0.1"),
        ("npipe:////./pipe/docker", "no address such as unix"),
        ("unix://", "correct or unset it"),
        ("tcp://", "correct or unset it"),
        ("tcp://box:port", "correct or unset it"),
        ("tcp://box:2375/v1.41", "correct or unset it"),
        ("10.0.0.1:2375", "correct or unset it"),
    ],
)
def test_what_is_not_understood_is_said_with_the_mend(host: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address_of({"DOCKER_HOST": host})


def test_with_tls_the_address_names_the_certificates(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "tcp://box", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with pytest.raises(ValueError, match=r"ca.pem, cert.pem, key.pem are not in .*; put them there"):
        address_of(environ)
    for name in CERTIFICATES:
        (tmp_path / name).touch()
    assert (address := address_of(environ)) == f"tls://box:2376{tmp_path}"
    assert (host_of(address), shown(address)) == ("box", "tls://box:2376")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here to make certificates with")
def test_both_ends_show_their_certificates(tmp_path: Path) -> None:
    ca, certificate, key = (str(tmp_path / name) for name in CERTIFICATES)
    words = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=box"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(words, check=True, capture_output=True)
    shutil.copy(certificate, ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as end:
                end.recv(65_536)
                end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        threading.Thread(target=answer, daemon=True).start()
        connection = connect(f"tls://127.0.0.1:{port}{tmp_path}", 5.0)
        connection.request("GET", "/version")
        assert connection.getresponse().read() == b"{}"
        connection.close()
