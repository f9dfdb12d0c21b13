"""The only module that speaks to a mail server.

Law: a password goes over TLS alone, with a certificate of the server's name; a failure tells the server's status,
never what was said to it.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import closing, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from gateway.setting_rules import MailServer
from shared.errors import ServiceUnavailable

TIMEOUT_S = 10.0
NO_TLS = "it offers no TLS, over which alone a password is sent"


def send(server: MailServer, *, sender: str, to: Sequence[str], subject: str, text: str) -> None:
    """Send a plain text to everybody. Raises ServiceUnavailable with the reason."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(to), subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=sender.partition("@")[2])
    message.set_content(text)
    try:
        with closing(_connected(server)) as connection:
            if server.user is not None and server.password is not None:
                connection.login(server.user, server.password)
            refused = connection.send_message(message)
            with suppress(OSError, smtplib.SMTPException):  # the mail is accepted, whatever becomes of the farewell
                connection.quit()
    except (OSError, smtplib.SMTPException) as error:
        raise _failure(server, _told(error)) from None
    if refused:
        raise _failure(server, f"it refused {len(refused)} of {len(to)} addresses")


def _connected(server: MailServer) -> smtplib.SMTP:
    """Connect, by TLS where that is offered. Raises ServiceUnavailable where a password would go without."""
    if server.is_tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
    try:
        connection.ehlo_or_helo_if_needed()
        if connection.has_extn("starttls"):
            connection.starttls(context=ssl.create_default_context())
        elif server.password is not None:
            raise _failure(server, NO_TLS)
    except BaseException:
        connection.close()
        raise
    return connection


def _told(error: Exception) -> str:
    """Say why, without the server's own words, which may repeat what it was sent."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "it refused every address"
    return type(error).__name__


def _failure(server: MailServer, why: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"The mail was not sent by {server.host}: {why}.")
