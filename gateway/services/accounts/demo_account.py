"""The documented demo account, whose password everyone knows.

Law: it exists only beside demo data; in production it is never made and can never sign in.
"""

from __future__ import annotations

from database.accounts import users
from database.accounts.users import User
from database.engine.session import Database
from gateway.services.accounts.credentials import hash_of
from shared.clock import Clock, iso
from shared.errors import Forbidden

DEMO_EMAIL, DEMO_PASSWORD, DEMO_NAME = "alex.chen@netflix.com", "password", "Alex Chen"


def create_demo_account(database: Database, *, clock: Clock, cost: int, app_env: str) -> User:
    """Make the documented demo account, or return the existing one.

    Raises
    ------
    Forbidden
        In production: its password is public.
    """
    if app_env == "production":
        raise Forbidden("The demo account has a public password and is never made in production.")
    hashed = hash_of(DEMO_PASSWORD, cost)
    now = iso(clock())
    with database.write() as connection:
        users.add(
            connection, email=DEMO_EMAIL, password_hash=hashed, name=DEMO_NAME, role="analyst", now=now, is_demo=True
        )
        user = users.by_email(connection, DEMO_EMAIL)
    assert user is not None
    return user


def remove_demo_account(database: Database) -> bool:
    """Delete the demo account; return whether there was one."""
    with database.write() as connection:
        return users.remove_demo(connection) > 0
