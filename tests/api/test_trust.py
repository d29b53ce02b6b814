"""Connections to a server with a certificate of a private authority: whom they trust is said by the environment."""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import certifi
import httpx
import pytest

from mirror.api.transport.connection import http_client, not_connected
from mirror.config import ServerSettings
from mirror.errors import ConfigError

AUTHORITY = Path(__file__).parent / "authority"  # made with openssl, for a hundred years
HASH = "221472da"  # of its subject, as openssl looks for it in a folder
NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(AUTHORITY / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def status_from(address: str) -> int:
    async def ask() -> int:
        async with http_client(ServerSettings(), address, None) as client:
            return (await client.get(address)).status_code

    return anyio.run(ask)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_of_certificates_is_trusted(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, str(AUTHORITY / "ca.pem"))
    assert status_from(address) == 204


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_so_is_a_folder(name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(AUTHORITY / "ca.pem", tmp_path / f"{HASH}.0")
    monkeypatch.setenv(name, str(tmp_path))
    assert status_from(address) == 204


def test_a_bundle_is_trusted_beside_the_systems_own_file(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(AUTHORITY / "ca.pem"))
    assert status_from(address) == 204


def test_nobody_else_is_trusted_and_the_reason_is_said(address: str) -> None:
    with pytest.raises(httpx.ConnectError) as refused:
        status_from(address)
    assert "issuer certificate" in str(not_connected(refused.value, "127.0.0.1"))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_that_is_not_there_is_a_clear_error(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/nowhere/ca.pem")
    with pytest.raises(ConfigError) as refused:
        status_from(address)
    assert name in str(refused.value.hint)
