"""Validates addresses, names and passwords of accounts, and hashes passwords.

Law: a password goes through SHA-256 and base64 before bcrypt, which reads 72 bytes at most; it is never keyed with a
secret of the server, or changing that secret would lock everyone out. No error repeats the given value. Names and
addresses contain no invisible character, and no look-alike from another alphabet.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import bcrypt
from email_validator import EmailNotValidError, validate_email

from database.engine.session import Connection
from shared.errors import Detail, InvalidInput, ServiceUnavailable
from shared.validation import is_visible

MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 100
MIN_PASSWORD_LENGTH, GOOD_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 8, 15, 200
#: Fewest guesses that a password must withstand, as zxcvbn counts them: it tries 30,000 common passwords, words, names,
#: dates and keyboard rows, joined and altered.
MIN_GUESSES = 10**6
#: Characters that are checked: further ones never make a password weaker, and each makes the check slower.
_CHECKED_LENGTH = 32
_OUR_WORDS = ("retainstream", "netflix", "churn")
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "LATIN"})
#: Hashes computed at the same time, and hashes that may wait; any further one is refused with a time to try again.
AT_ONCE, WAITING = 2, 4
_BUSY_S = 1
#: Called in the transaction of a change of accounts or keys; raises if whoever asked for it is no longer let in.
Recheck = Callable[[Connection], None]


# --- checking input -------------------------------------------------------------------------------------------------


def no_session(connection: Connection) -> None:
    """Let whoever runs a command change accounts and keys: there is no session that could end meanwhile."""


def refuse(faults: list[Detail]) -> None:
    """Raise InvalidInput if there is any fault."""
    if faults:
        raise InvalidInput.of(faults)


def accepted_email(text: str, faults: list[Detail]) -> str:
    """Return the address in its stored form, which is ASCII; add a fault if it isn't an address.

    >>> accepted_email(" Ann@Example.COM ", []), accepted_email("ann@b\u00fccher.example", [])
    ('ann@example.com', 'ann@xn--bcher-kva.example')
    """
    try:
        # Cut first: nothing longer can be valid, and parsing it would cost time.
        text = text.strip()[: MAX_EMAIL_LENGTH + 1]
        # ASCII only: no letter looks like another. `test_environment` allows addresses under .test, which trials use.
        found = validate_email(text, check_deliverability=False, test_environment=True, allow_smtputf8=False)
        address = (found.ascii_email or "").lower()
    except EmailNotValidError:
        address = ""
    if not address or len(address) > MAX_EMAIL_LENGTH:
        message = "Give an e-mail address, such as name@example.com, without accents or other alphabets before the @."
        faults.append({"field": "email", "message": message})
    return address


def accepted_name(text: str, faults: list[Detail]) -> str:
    """Return the name without blanks around it; add a fault if it is empty, too long or misleading."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not _is_visible(name):
        message = f"Give a name of 1 to {MAX_NAME_LENGTH} visible characters, without control characters."
        faults.append({"field": "name", "message": message})
    elif not _is_of_one_script(name):
        faults.append({"field": "name", "message": "Give a name in one alphabet: letters of several can look alike."})
    return name


def _is_visible(name: str) -> bool:
    kinds = [unicodedata.category(letter) for letter in name]
    # No blank but a plain space.
    has_blank = any(kind == "Zs" and letter != " " for kind, letter in zip(kinds, name, strict=True))
    return is_visible(name) and not has_blank and any(kind[0] in "LNS" for kind in kinds)


def _is_of_one_script(name: str) -> bool:
    # The first word of a letter's name is its script; Japanese, Chinese and Korean mix theirs, and Latin, by custom.
    letters = (letter for letter in name if unicodedata.category(letter)[0] == "L")
    scripts = {re.split("[ -]", unicodedata.name(letter, "UNNAMED"))[0] for letter in letters}
    return len(scripts) <= 1 or scripts <= _EAST_ASIAN


def accepted_password(password: str, where: str, faults: list[Detail], *, about: Iterable[str]) -> None:
    """Add a fault, at the field `where`, if the password is too short, too long or easily guessed.

    Parameters
    ----------
    about
        Known words about its owner, which an attacker tries first.
    """
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        message = f"Choose a password of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    elif _guesses(password, about) < MIN_GUESSES:
        message = (
            "This password is easily guessed: it is a common one, a name, a date, or one of them with little added. "
            f"Use several words, {GOOD_PASSWORD_LENGTH} characters or more."
        )
    else:
        return
    faults.append({"field": where, "message": message})


def _guesses(password: str, about: Iterable[str]) -> int:
    from zxcvbn import zxcvbn  # 13 MB of words: loaded only to check a new password

    known = [part for text in about for part in (text, *re.split(r"[\W_]+", text)) if len(part) > 2]
    shown = password.strip().encode("utf-8", "replace").decode()[:_CHECKED_LENGTH]
    return int(zxcvbn(shown, user_inputs=[*known, *_OUR_WORDS])["guesses"]) if shown else 0


# --- hashes ---------------------------------------------------------------------------------------------------------


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


_admitted = threading.BoundedSemaphore(AT_ONCE + WAITING)
_computing = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _hashing_slot() -> Iterator[None]:
    """Wait for a free slot: hashing is slow on purpose, and occupies a thread and a core.

    Raises
    ------
    ServiceUnavailable
        Too many hashes are waiting already.
    """
    if not _admitted.acquire(blocking=False):
        raise ServiceUnavailable("Many people are signing in right now. Try again.", retry_after_s=_BUSY_S)
    try:
        with _computing:
            yield
    finally:
        _admitted.release()


def hash_of(password: str, cost: int) -> str:
    """Return the bcrypt hash that is stored for a password."""
    with _hashing_slot():
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode()


def cost_of(hashed: str) -> int:
    """Return the work factor of a hash."""
    return int(hashed[4:6])


def matches(password: str, hashed: str, *, spend: int = 0) -> bool:
    """Return whether the hash is this password's; a cheaper hash takes as long as one of the work factor `spend`."""
    with _hashing_slot():
        digest = _digest(password)
        found = bcrypt.checkpw(digest, hashed.encode())
        # 2^c plus 2^c + 2^(c+1) + ... + 2^(spend-1) is 2^spend.
        for cost in range(cost_of(hashed), spend):
            bcrypt.checkpw(digest, dummy_hash(cost).encode())
        return found


def dummy_hash(cost: int) -> str:
    """Return a hash to compare with if there is no account, so that the response takes as long."""
    # Well formed, so that comparing takes as long as usual; the hash of no known password.
    return f"$2b${cost:02d}$" + "." * 53
