"""Counts wrong passwords by account, over all addresses.

Law: a client that has signed in to the account before has its own count, so that nobody else's guesses lock it out.
Counts are in the database, for all processes; addresses and accounts are stored only as keyed hashes.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem

from database.accounts import rate_limits as counters
from database.engine.session import Connection, Database
from shared.errors import RateLimited, ServiceUnavailable

REMEMBERED_S = 30 * 86_400.0
_RENEW_S = REMEMBERED_S - 86_400.0


@dataclass(frozen=True)
class Guesses:
    """Guesses that one client makes.

    Attributes
    ----------
    limit
        Most wrong passwords for one account.
    secret
        The key of the hashes of accounts and clients.
    client
        The client, as the rate limits name it.
    is_known
        Whether a session already identifies the client.
    """

    database: Database
    limit: RateLimitItem
    secret: bytes
    client: str
    is_known: bool = False

    def compare(self, account: str, is_right: Callable[[], bool]) -> bool:
        """Count a password as wrong before comparing it; `was_right` undoes the count.

        Raises
        ------
        RateLimited
            There were too many wrong passwords already, so this one was not compared.
        ServiceUnavailable
            The password could not be compared now, so it does not count.
        """
        self._count(account)
        try:
            return is_right()
        except ServiceUnavailable:
            with self.database.write() as connection:
                counters.give_back(connection, self._key(connection, account))
            raise

    def _count(self, account: str) -> None:
        now_s = time.time()
        with self.database.read() as connection:
            key = self._key(connection, account)
            hits, ends_at_s = counters.count_of(connection, key, now_s=now_s)
        if hits < self.limit.amount:
            with self.database.write() as connection:
                hits, ends_at_s = counters.hit(connection, key, window_s=self.limit.get_expiry(), now_s=now_s)
            if hits <= self.limit.amount:
                return
        wait_s = max(1, math.ceil(ends_at_s - now_s))
        raise RateLimited(f"Too many wrong passwords for this account. Try again in {wait_s} s.", retry_after_s=wait_s)

    def was_right(self, account: str) -> None:
        """Undo the count, and remember this client for 30 days."""
        now_s = time.time()
        known = self._name("known", account, self.client)
        with self.database.write() as connection:
            counters.give_back(connection, self._key(connection, account))
            if not self.is_known and counters.count_of(connection, known, now_s=now_s)[1] < now_s + _RENEW_S:
                counters.keep(connection, known, until_s=now_s + REMEMBERED_S)

    def _key(self, connection: Connection, account: str) -> str:
        known = self._name("known", account, self.client)
        is_known = self.is_known or counters.count_of(connection, known, now_s=time.time())[0] > 0
        return self._name("wrong", account, self.client if is_known else "")

    def _name(self, *parts: str) -> str:
        return hmac.digest(self.secret, "\n".join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
