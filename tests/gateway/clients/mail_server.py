"""A mail server of a few lines on loopback: it keeps what it was sent and answers as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class MailServerFound:
    """The lines that came, in order, and the mail."""

    port: int = 0
    lines: list[str] = field(default_factory=list)
    mail: str = ""
    over_tls: bool = False


@contextmanager
def receiving_mail(
    answers: Mapping[str, str] | None = None, *, tls: ssl.SSLContext | None = None, from_the_start: bool = False
) -> Iterator[MailServerFound]:
    """A server of one connection; `answers` by the first word of a command replace the usual ones."""
    found, told = (
        MailServerFound(),
        {"EHLO": "250-here\r\n250-AUTH PLAIN\r\n250 SIZE", "AUTH": "235 in", "DATA": "354 go"},
    )
    told |= {"STARTTLS": "220 go", "QUIT": "221 bye"} | dict(answers or {})
    if tls is not None and not from_the_start:
        told["EHLO"] = told["EHLO"].replace("250-AUTH", "250-STARTTLS\r\n250-AUTH")

    def talk(connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while line := file.readline().decode().rstrip("\r\n"):
            found.lines.append(line)
            word = line.split(" ")[0].split(":")[0].upper()
            connection.sendall(f"{told.get(word, '250 fine')}\r\n".encode())
            if word == "DATA" and told["DATA"].startswith("354"):
                found.mail = "".join(iter(lambda: file.readline().decode(), ".\r\n"))
                connection.sendall(f"{told.get('.', '250 taken')}\r\n".encode())
            if word == "STARTTLS" and tls is not None:
                with tls.wrap_socket(connection, server_side=True) as wrapped:
                    found.over_tls = True
                    return talk(wrapped)
        return None

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        found.port = server.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                connection.settimeout(5)
                with tls.wrap_socket(connection, server_side=True) if tls and from_the_start else connection as to:
                    found.over_tls = from_the_start
                    to.sendall(b"220 here\r\n")
                    talk(to)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield found
        server.close()
        thread.join(5)
