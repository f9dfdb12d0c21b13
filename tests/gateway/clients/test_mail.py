"""Mail: a password over TLS alone, and the reason of a failure without a secret."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.clients import mail
from gateway.setting_rules import mail_server_of
from shared.errors import ServiceUnavailable
from tests.gateway.clients.mail_server import receiving_mail

SECRET = "p@ss:w/rd"
WRITTEN = "p%40ss%3Aw%2Frd"


def send(url: str, *to: str) -> None:
    addresses = to or ("ann@example.com",)
    mail.send(mail_server_of(url), sender="stream@example.com", to=addresses, subject="Grüße", text="naïve\n.dot\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate of localhost and what serves it."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_goes_over_tls(
    scheme: str, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with receiving_mail(tls=context, from_the_start=scheme == "smtps") as found:
        send(f"{scheme}://ann:{WRITTEN}@localhost:{found.port}")
    assert found.over_tls
    said = [line.split(" ")[0] for line in found.lines]
    assert ("STARTTLS" in said) is (scheme == "smtp")
    assert said.index("AUTH") > (said.index("STARTTLS") if scheme == "smtp" else 0)
    assert "From: stream@example.com" in found.mail
    assert "To: ann@example.com" in found.mail


def test_a_server_with_another_names_certificate_gets_nothing(certificate: tuple[Path, ssl.SSLContext]) -> None:
    for scheme in ("smtp", "smtps"):
        with receiving_mail(tls=certificate[1], from_the_start=scheme == "smtps") as found:
            with pytest.raises(ServiceUnavailable, match="SSLCertVerificationError"):
                send(f"{scheme}://ann:{WRITTEN}@localhost:{found.port}")
            assert not [line for line in found.lines if line.startswith(("AUTH", "MAIL"))]


def test_without_tls_a_password_is_not_sent_and_a_mail_without_one_is() -> None:
    with receiving_mail() as found, pytest.raises(ServiceUnavailable, match="offers no TLS"):
        send(f"smtp://ann:{WRITTEN}@127.0.0.1:{found.port}")
    assert [line.split(" ")[0] for line in found.lines] == ["ehlo"]
    with receiving_mail() as found:
        send(f"smtp://127.0.0.1:{found.port}", "ann@example.com", "bob@example.com")
    assert [line for line in found.lines if line.startswith("rcpt")] == [
        "rcpt TO:<ann@example.com>", "rcpt TO:<bob@example.com>"
    ]  # fmt: skip
    assert "=?utf-8?" in found.mail


@pytest.mark.parametrize(
    ("answers", "reason"),
    [({"RCPT": "550 no ann"}, "it refused every address"), ({"DATA": "451 later"}, "it answered 451"),
     ({".": "554 ann is spam"}, "it answered 554"), ({"MAIL": "530 who"}, "it answered 530")],
)  # fmt: skip
def test_a_refusal_is_told_by_its_status_and_not_in_the_servers_words(answers: dict[str, str], reason: str) -> None:
    with receiving_mail(answers) as found, pytest.raises(ServiceUnavailable) as told:
        send(f"smtp://127.0.0.1:{found.port}")
    assert told.value.message == f"The mail was not sent by 127.0.0.1: {reason}."


def test_a_wrong_password_is_in_no_message(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    answers = {"AUTH": f"535 {SECRET} is wrong"}
    with receiving_mail(answers, tls=certificate[1]) as found, pytest.raises(ServiceUnavailable) as told:
        send(f"smtp://ann:{WRITTEN}@localhost:{found.port}")
    assert told.value.message == "The mail was not sent by localhost: it answered 535."
    assert SECRET not in repr(mail_server_of(f"smtp://ann:{WRITTEN}@localhost"))


def test_a_server_that_is_away_is_told_and_a_rude_farewell_is_not() -> None:
    with receiving_mail({"QUIT": "500 what"}) as found:
        send(f"smtp://127.0.0.1:{found.port}")
    assert found.mail
    with pytest.raises(ServiceUnavailable, match="ConnectionRefusedError"):
        send(f"smtp://127.0.0.1:{found.port}")


@pytest.mark.parametrize(
    "url",
    ["http://mail.example.com", "smtp://", "smtp://mail.example.com/path", "smtp://ann@mail.example.com",
     "smtp://mail.example.com:99999", "smtp://[::1", "mail.example.com"],
)  # fmt: skip
def test_the_address_of_a_server_that_can_not_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as told:
        mail_server_of(url)
    assert "example.com" not in str(told.value)


@pytest.mark.parametrize("odd", ["a\r\nBcc: eve@example.com", "a\nBcc: eve@example.com", "a\rBcc: eve@example.com"])
def test_no_value_begins_another_header(odd: str) -> None:
    with receiving_mail() as found:
        server = mail_server_of(f"smtp://127.0.0.1:{found.port}")
        for more in ({"subject": odd}, {"to": [odd]}, {"sender": odd}):
            parts: dict[str, Any] = {"sender": "a@example.com", "to": ["b@example.com"], "subject": "a", "text": "a"}
            with pytest.raises(ValueError, match="linefeed or carriage return"):
                mail.send(server, **{**parts, **more})
    assert not found.lines
