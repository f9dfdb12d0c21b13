"""Random draws that a stored seed repeats: the arms of a campaign, and the universal hold-out.

Law: a customer's value depends on the seed and the customer's key alone, so that a draw can be repeated at any time,
and raising a share only adds customers. `database.customers.contacting` computes the same values in SQL.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from functools import cached_property

#: A Mersenne prime: products of two smaller numbers fit 64 bits.
PRIME = 2**31 - 1
_COEFFICIENTS = 4


def new_seed() -> str:
    """Return a seed that nobody can guess: 128 bits in hexadecimal."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Draw:
    """A random function of keys: a polynomial of degree 3 over the field of `PRIME`, its coefficients from a seed.

    The values of any four customers are independent (Wegman & Carter 1981).

    Examples
    --------
    >>> Draw("a").share_of(1) == Draw("a").share_of(1), Draw("a").share_of(1) == Draw("b").share_of(1)
    (True, False)
    """

    seed: str

    @cached_property
    def coefficients(self) -> tuple[int, ...]:
        """The coefficients, that of the highest power first."""
        digest = hashlib.sha512(self.seed.encode()).digest()
        return tuple(int.from_bytes(digest[at * 16 : at * 16 + 16], "big") % PRIME for at in range(_COEFFICIENTS))

    def value(self, key: int) -> int:
        """Return the value of a key, from 0 to `PRIME` - 1."""
        found = 0
        for coefficient in self.coefficients:
            found = (found * key + coefficient) % PRIME
        return found

    def share_of(self, key: int) -> float:
        """Return the value of a key as a share in [0, 1)."""
        return self.value(key) / PRIME

    def has(self, key: int, share: float) -> bool:
        """Return whether a key is among this share of all keys."""
        return self.value(key) < limit(share)


def limit(share: float) -> int:
    """Return the number that the values of this share of keys are below."""
    return round(share * PRIME)
