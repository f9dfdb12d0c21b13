"""The example of a reverse proxy, run: TLS in front, a client's own word about itself believed nowhere."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.serving import slow_clients
from tests.serving.slow_clients import holding, seconds_to_answer
from tests.stack import ROOT, Stack, free_port, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.skipif(not NGINX or not shutil.which("openssl"), reason="nginx and openssl are not installed"),
    pytest.mark.xdist_group("proxy"),
]
NAME = "retainstream.example.com"
LOGIN = b'{"email": "nobody@example.com", "password": "a wrong password"}'


@dataclass
class Proxied:
    """A gateway, and nginx in front of it."""

    stack: Stack
    plain: int
    tls: int

    def ask(
        self, path: str, *, method: str = "GET", body: bytes = b"", source: str = "127.0.0.1", direct: bool = False,
        **headers: str,
    ) -> str:  # fmt: skip
        """A whole answer, over TLS unless it is asked for directly."""
        with socket.create_connection(
            ("127.0.0.1", self.stack.port if direct else self.tls), timeout=10, source_address=(source, 0)
        ) as raw:
            client = raw if direct else _trusting().wrap_socket(raw, server_hostname=NAME)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {NAME}", "Connection: close", f"Content-Length: {len(body)}"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            client.close()
        return answer.decode()

    def sign_in(self, **how: object) -> int:
        """The status of a sign-in that fails."""
        answer = self.ask("/api/auth/login", method="POST", body=LOGIN, Content_Type="application/json", **how)  # type: ignore[arg-type]
        return int(answer.split()[1])


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the test signed it itself
    return context


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxy")
    limits = {"CREDENTIALS_LIMIT": "3 per hour", "BEHIND_TLS": "1", "TRUSTED_PROXIES": "1"}
    stack = Stack(folder / "stack", {**limits, "PROXY_ADDRESSES": "127.0.0.1"})
    made = Proxied(stack, free_port(), free_port())
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    example = (ROOT / "examples" / "nginx.conf").read_text()
    for given, used in (
        ("listen 80;", f"listen 127.0.0.1:{made.plain};"),
        ("listen 443", f"listen 127.0.0.1:{made.tls}"),
        ("127.0.0.1:5000", f"127.0.0.1:{stack.port}"),
        ("/etc/ssl/certs/retainstream.pem", str(folder / "cert")),
        ("/etc/ssl/private/retainstream.key", str(folder / "key")),
    ):
        assert given in example
        example = example.replace(given, used)
    kept = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    around = f"pid {folder}/pid;\nerror_log {folder}/log;\ndaemon off;\nworker_processes 1;\nevents {{}}\nhttp {{\n"
    (folder / "nginx.conf").write_text(f"{around}access_log off;\n{kept}{example}\n}}\n")
    (folder / "nginx.conf").chmod(0o644)
    stack.start("gateway")
    nginx = subprocess.Popen([str(NGINX), "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        wait_until(lambda: _listens(made.tls), f"nginx listens; {folder}/log says more", 10)
        yield made
    finally:
        nginx.terminate()
        nginx.wait(10)
        stack.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_serves_over_tls_and_sends_whoever_comes_without_to_its_own_name(proxied: Proxied) -> None:
    answer = proxied.ask("/api/health")
    assert answer.startswith("HTTP/1.1 200") and "Strict-Transport-Security" in answer
    with socket.create_connection(("127.0.0.1", proxied.plain), timeout=5) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n")
        redirect = client.recv(65536).decode()
    assert f"Location: https://{NAME}/x\r\n" in redirect and "evil" not in redirect


def test_an_api_call_without_tls_is_refused_and_not_redirected(proxied: Proxied) -> None:
    for path in ("/api/health", "/api/auth/login?x=1", "/%61pi/health"):
        with socket.create_connection(("127.0.0.1", proxied.plain), timeout=5) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 403"), path


def test_tls_is_of_today_alone(proxied: Proxied) -> None:
    def taken(version: ssl.TLSVersion, ciphers: str) -> str:
        context = _trusting()
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", proxied.tls), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=NAME) as client,
        ):
            return str(client.cipher()[0])  # type: ignore[index]

    assert "GCM" in taken(ssl.TLSVersion.TLSv1_2, "ALL")
    for version, ciphers in ((ssl.TLSVersion.TLSv1_1, "ALL"), (ssl.TLSVersion.TLSv1_2, "AES128-SHA:ECDHE+SHA1+AES")):
        with pytest.raises(OSError):
            taken(version, ciphers)


def test_metrics_are_out_of_reach_however_they_are_spelled(proxied: Proxied) -> None:
    for path in ("/metrics", "//metrics", "/./metrics", "/%6detrics", "/x/../metrics"):
        assert proxied.ask(path).startswith("HTTP/1.1 404"), path
    assert proxied.ask("/x/metrics", SCRIPT_NAME="/x").startswith("HTTP/1.1 404")
    assert proxied.ask("/x/metrics", direct=True, SCRIPT_NAME="/x").startswith("HTTP/1.1 404")


def test_clients_are_counted_by_the_address_that_the_proxy_saw(proxied: Proxied) -> None:
    one = [proxied.sign_in(source="127.0.0.5", X_Forwarded_For=f"203.0.113.{k}") for k in range(5)]
    assert one == [401, 401, 401, 429, 429]
    assert proxied.sign_in(source="127.0.0.6") == 401


def test_nobody_else_is_believed_about_where_a_client_is(proxied: Proxied) -> None:
    tries = [proxied.sign_in(source="127.0.0.7", direct=True, X_Forwarded_For=f"203.0.113.{k}") for k in range(5)]
    assert tries == [401, 401, 401, 429, 429]


def test_slow_clients_stay_with_the_proxy(proxied: Proxied) -> None:
    with holding(slow_clients.sending(b"GET / HTTP/1.1\r\nHost: x\r\nX: "), proxied.plain, 64):
        assert seconds_to_answer(proxied.stack.port, "/api/health") < 2
        assert proxied.ask("/api/health", source="127.0.0.8").startswith("HTTP/1.1 200")


def test_the_example_names_what_the_documents_say() -> None:
    example = (ROOT / "examples" / "nginx.conf").read_text()
    assert re.search(r"client_max_body_size 200m; # MAX_UPLOAD_MB", example)
    assert "examples/nginx.conf" in (ROOT / "docs" / "containers.md").read_text()


def test_a_customers_id_reaches_the_gateway_as_it_was_sent(proxied: Proxied) -> None:
    for name in ("2024%2F0012", "%252F", "a%2F..%2Fb", "%E5%AE%A2", "%3F", "..", "%2E%2E"):
        # Without a token 401, where a route was found; a path that is none is 404.
        assert proxied.ask(f"/api/customers/{name}").startswith("HTTP/1.1 401"), name
        assert proxied.ask(f"/api/do-not-contact/{name}", method="DELETE").startswith("HTTP/1.1 401"), name
    assert proxied.ask("/api%2Fcustomers").startswith("HTTP/1.1 404")
