"""Counts wrong passwords by account, from whatever address they come.

Law: who signed in from an address before has a count of their own there: nobody else's guesses keep them out. Counts
stand in the database, for all processes; neither addresses nor accounts stand there, only keyed hashes of them.
"""

from __future__ import annotations

import hmac
import math
import time
from dataclasses import dataclass

from limits import RateLimitItem

from database.accounts import rate_limits as counters
from database.engine.session import Database
from shared.errors import RateLimited

REMEMBERED_S = 30 * 86_400.0
_RENEW_S = REMEMBERED_S - 86_400.0


@dataclass(frozen=True)
class Guesses:
    """Guesses that one client makes.

    Attributes
    ----------
    limit
        Wrong passwords at one account.
    secret
        Keys the hashes that stand for accounts and clients.
    client
        Where they come from, as the rate limits name it.
    is_known
        Whether the client has shown already who it is, by a session.
    """

    database: Database
    limit: RateLimitItem
    secret: bytes
    client: str
    is_known: bool = False

    def count(self, account: str) -> None:
        """Count a password as wrong before it is compared.

        Raises
        ------
        RateLimited
            There were too many already.
        """
        now_s = time.time()
        key = self._key(account)
        with self.database.read() as connection:
            hits, ends_at_s = counters.count_of(connection, key, now_s=now_s)
        if hits < self.limit.amount:
            with self.database.write() as connection:
                hits, ends_at_s = counters.hit(connection, key, window_s=self.limit.get_expiry(), now_s=now_s)
            if hits <= self.limit.amount:
                return
        wait_s = max(1, math.ceil(ends_at_s - now_s))
        raise RateLimited(f"Too many wrong passwords for this account. Try again in {wait_s} s.", retry_after_s=wait_s)

    def was_right(self, account: str) -> None:
        """Take the count back, and know this client again for 30 days."""
        now_s = time.time()
        key, known = self._key(account), self._name("known", account, self.client)
        with self.database.write() as connection:
            counters.give_back(connection, key)
            if not self.is_known and counters.count_of(connection, known, now_s=now_s)[1] < now_s + _RENEW_S:
                counters.keep(connection, known, until_s=now_s + REMEMBERED_S)

    def _key(self, account: str) -> str:
        is_known = self.is_known
        if not is_known:
            with self.database.read() as connection:
                known = self._name("known", account, self.client)
                is_known = counters.count_of(connection, known, now_s=time.time())[0] > 0
        return self._name("wrong", account, self.client if is_known else "")

    def _name(self, *parts: str) -> str:
        return hmac.digest(self.secret, "\n".join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
