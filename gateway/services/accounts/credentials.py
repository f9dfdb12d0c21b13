"""Validates addresses, names and passwords of accounts, and hashes passwords.

Law: a password goes through SHA-256 and base64 before bcrypt, which reads 72 bytes at most; it is never keyed with a
secret of the server, or changing that secret would lock everyone out. No fault ever repeats what was given.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata

import bcrypt
from email_validator import EmailNotValidError, validate_email

from shared.errors import Detail, InvalidInput

MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 100
MIN_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 8, 200
# The fifty most common ones among those long enough to be let in otherwise.
_COMMON = """
    password password1 password12 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 0123456789
    987654321 9876543210 11111111 111111111 00000000 88888888 12341234 11223344 12344321 87654321 123123123 147258369
    789456123 1q2w3e4r 1q2w3e4r5t 1qaz2wsx qwertyui qwertyuiop qwerty12 qwerty123 qwer1234 asdfghjk asdfghjkl zxcvbnm1
    abcd1234 abc12345 a1234567 a12345678 aa123456 iloveyou sunshine princess football baseball superman welcome1
    trustno1 changeme letmein1
"""
COMMON_PASSWORDS = frozenset(_COMMON.split())


# --- what is accepted -----------------------------------------------------------------------------------------------


def refuse(faults: list[Detail]) -> None:
    """Raise InvalidInput where there is any fault."""
    if faults:
        raise InvalidInput.of(faults)


def accepted_email(text: str, faults: list[Detail]) -> str:
    """Return the address in the one form it is stored in; add a fault where it is none.

    >>> accepted_email(" Ann@Example.COM ", [])
    'ann@example.com'
    """
    try:
        # Cut first: nothing longer can be right, and reading it would cost time.
        text = text.strip()[: MAX_EMAIL_LENGTH + 1]
        # `test_environment` lets addresses under .test in, as trials and tests use them.
        address = validate_email(text, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        address = ""
    if not address or len(address) > MAX_EMAIL_LENGTH:
        faults.append({"field": "email", "message": "Give an e-mail address, such as name@example.com."})
    return address


def accepted_name(text: str, faults: list[Detail]) -> str:
    """Return the name without blanks around it; add a fault where it is empty, too long or has control characters."""
    name = text.strip()
    # Control characters, lone surrogates and line separators.
    is_odd = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)
    if is_odd or not 1 <= len(name) <= MAX_NAME_LENGTH:
        message = f"Give a name of 1 to {MAX_NAME_LENGTH} characters, without control characters."
        faults.append({"field": "name", "message": message})
    return name


def accepted_password(password: str, address: str, where: str, faults: list[Detail]) -> None:
    """Add a fault, at the field `where`, where the password won't do for this address."""
    folded = password.casefold().strip()
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        message = f"Choose a password of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    elif address and folded == address.casefold():
        message = "Choose a password that is not your e-mail address."
    elif folded in COMMON_PASSWORDS:
        message = "This is one of the most common passwords. Choose another one."
    else:
        return
    faults.append({"field": where, "message": message})


# --- hashes ---------------------------------------------------------------------------------------------------------


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


def hash_of(password: str, cost: int) -> str:
    """Return the bcrypt hash that is stored for a password."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode()


def matches(password: str, hashed: str) -> bool:
    """Return whether the hash is this password's."""
    return bcrypt.checkpw(_digest(password), hashed.encode())


def hash_of_nobody(cost: int) -> str:
    """Return a hash to compare with where there is no account, so that the answer takes as long."""
    # Well formed, so that comparing costs what it always does; the hash of no known password.
    return f"$2b${cost:02d}$" + "." * 53
