"""Lines that `retainstream up` prints once everything runs: whom to sign in as, or how to get an account."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database.customers import customer_base
from gateway.cli.operate import print_addresses
from gateway.services.accounts import accounts
from shared.schema.features import built_in_schema
from tests.world import World

MakeWorld = Callable[..., World]
PRODUCTION = {"APP_ENV": "production", "BEHIND_TLS": "1", "BCRYPT_COST": 10}
MAKE_ONE = 'make an administrator\'s with `retainstream user create YOU@example.com --name "YOUR NAME" --role admin`.'


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[World], str]:
    def lines(world: World) -> str:
        print_addresses(world.environment)
        return capsys.readouterr().out

    return lines


def with_demo(world: World) -> World:
    """A base of demo data with the demo's account."""
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=True, clock=world.clock)
    accounts.create_demo_account(world.database, clock=world.clock, cost=4, app_env="test")
    return world


def test_on_an_empty_base_they_say_how_to_get_an_account(
    make_world: MakeWorld, printed: Callable[[World], str]
) -> None:
    assert f"No account yet: register on the page, or {MAKE_ONE}" in printed(make_world())
    assert f"No account yet: {MAKE_ONE}" in printed(make_world(OPEN_REGISTRATION="0"))


def test_where_somebody_has_an_account_they_do_not(make_world: MakeWorld, printed: Callable[[World], str]) -> None:
    world = make_world()
    person = world.person("viewer")
    assert "account" not in printed(world)
    accounts.change_user(world.database, person.id, clock=world.clock, cost=4, disabled=True)
    assert "No account yet" in printed(world)


def test_the_demo_account_is_named_but_in_production(make_world: MakeWorld, printed: Callable[[World], str]) -> None:
    assert "Sign in with the demo account: alex.chen@netflix.com / password" in printed(with_demo(make_world()))
    shown = printed(with_demo(make_world(**PRODUCTION)))
    assert "alex.chen" not in shown and f"No account yet: {MAKE_ONE}" in shown
