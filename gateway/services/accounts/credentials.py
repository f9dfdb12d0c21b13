"""Validates addresses, names and passwords of accounts, and hashes passwords.

Law: a password goes through SHA-256 and base64 before bcrypt, which reads 72 bytes at most; it is never keyed with a
secret of the server, or changing that secret would lock everyone out. No fault ever repeats what was given. Names and
addresses show what they are: no character in them is invisible, and none is a look-alike from another alphabet.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import bcrypt
from email_validator import EmailNotValidError, validate_email

from shared.errors import Detail, InvalidInput, ServiceUnavailable

MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 100
MIN_PASSWORD_LENGTH, GOOD_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 8, 15, 200
#: Guesses that a password has to outlast, as zxcvbn counts them: it knows 30,000 common ones, words, names, dates and
#: rows of keys, and what they are joined and altered to.
MIN_GUESSES = 10**6
#: Characters that are looked at: what follows makes no password weaker, and looking takes longer with each.
_LOOKED_AT = 32
_OUR_WORDS = ("retainstream", "netflix", "churn")
#: Characters that nobody sees, though Unicode calls them letters, marks or symbols.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "LATIN"})
#: Hashes that are computed at a time, and that may wait for their turn; whoever comes then is told to come again.
AT_ONCE, WAITING = 2, 4
_BUSY_S = 1


# --- what is accepted -----------------------------------------------------------------------------------------------


def refuse(faults: list[Detail]) -> None:
    """Raise InvalidInput where there is any fault."""
    if faults:
        raise InvalidInput.of(faults)


def accepted_email(text: str, faults: list[Detail]) -> str:
    """Return the address in the one form it is stored in, which is ASCII; add a fault where it is none.

    >>> accepted_email(" Ann@Example.COM ", []), accepted_email("ann@b\u00fccher.example", [])
    ('ann@example.com', 'ann@xn--bcher-kva.example')
    """
    try:
        # Cut first: nothing longer can be right, and reading it would cost time.
        text = text.strip()[: MAX_EMAIL_LENGTH + 1]
        # ASCII alone: no letter looks like another one. `test_environment` lets addresses under .test in, as trials do.
        found = validate_email(text, check_deliverability=False, test_environment=True, allow_smtputf8=False)
        address = (found.ascii_email or "").lower()
    except EmailNotValidError:
        address = ""
    if not address or len(address) > MAX_EMAIL_LENGTH:
        message = "Give an e-mail address, such as name@example.com, without accents or other alphabets before the @."
        faults.append({"field": "email", "message": message})
    return address


def accepted_name(text: str, faults: list[Detail]) -> str:
    """Return the name without blanks around it; add a fault where it is empty, too long or shows another than it is."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not _is_seen(name):
        message = f"Give a name of 1 to {MAX_NAME_LENGTH} characters that can be seen, without control characters."
        faults.append({"field": "name", "message": message})
    elif not _is_of_one_script(name):
        faults.append({"field": "name", "message": "Give a name in one alphabet: letters of several look alike."})
    return name


def _is_seen(name: str) -> bool:
    kinds = [unicodedata.category(letter) for letter in name]
    # No control, format, private, unassigned or surrogate character, no line separator, no blank but the common one.
    is_odd = any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds) or not _UNSEEN.isdisjoint(name)
    has_blank = any(kind == "Zs" and letter != " " for kind, letter in zip(kinds, name, strict=True))
    return not is_odd and not has_blank and any(kind[0] in "LNS" for kind in kinds)


def _is_of_one_script(name: str) -> bool:
    # The first word of a letter's name is its script; Japanese, Chinese and Korean mix theirs, and Latin, by custom.
    letters = (letter for letter in name if unicodedata.category(letter)[0] == "L")
    scripts = {re.split("[ -]", unicodedata.name(letter, "UNNAMED"))[0] for letter in letters}
    return len(scripts) <= 1 or scripts <= _EAST_ASIAN


def accepted_password(password: str, where: str, faults: list[Detail], *, about: Iterable[str]) -> None:
    """Add a fault, at the field `where`, where the password is too short, too long or soon guessed.

    Parameters
    ----------
    about
        What is known of its owner, which guesses begin with.
    """
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        message = f"Choose a password of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    elif _guesses(password, about) < MIN_GUESSES:
        message = (
            "This password is soon guessed: it is a common one, a name, a date, or one of them with little added. "
            f"Several words, {GOOD_PASSWORD_LENGTH} characters or more, are good."
        )
    else:
        return
    faults.append({"field": where, "message": message})


def _guesses(password: str, about: Iterable[str]) -> int:
    from zxcvbn import zxcvbn  # 13 MB of words: only where a password is chosen

    known = [part for text in about for part in (text, *re.split(r"[\W_]+", text)) if len(part) > 2]
    shown = password.strip().encode("utf-8", "replace").decode()[:_LOOKED_AT]
    return int(zxcvbn(shown, user_inputs=[*known, *_OUR_WORDS])["guesses"]) if shown else 0


# --- hashes ---------------------------------------------------------------------------------------------------------


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


_may_come = threading.BoundedSemaphore(AT_ONCE + WAITING)
_may_compute = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for one of the places: hashing is slow on purpose, and takes a thread and a core meanwhile.

    Raises
    ------
    ServiceUnavailable
        Too many wait already.
    """
    if not _may_come.acquire(blocking=False):
        raise ServiceUnavailable("Many people are signing in at this moment. Try again.", retry_after_s=_BUSY_S)
    try:
        with _may_compute:
            yield
    finally:
        _may_come.release()


def hash_of(password: str, cost: int) -> str:
    """Return the bcrypt hash that is stored for a password."""
    with _turn():
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode()


def cost_of(hashed: str) -> int:
    """Return the work factor of a hash."""
    return int(hashed[4:6])


def matches(password: str, hashed: str, *, spend: int = 0) -> bool:
    """Return whether the hash is this password's; a cheaper one takes as long as one of the work factor `spend`."""
    with _turn():
        digest = _digest(password)
        found = bcrypt.checkpw(digest, hashed.encode())
        # 2^c, and then 2^c + 2^(c+1) + ... + 2^(spend-1) more, are 2^spend.
        for cost in range(cost_of(hashed), spend):
            bcrypt.checkpw(digest, hash_of_nobody(cost).encode())
        return found


def hash_of_nobody(cost: int) -> str:
    """Return a hash to compare with where there is no account, so that the answer takes as long."""
    # Well formed, so that comparing costs what it always does; the hash of no known password.
    return f"$2b${cost:02d}$" + "." * 53
