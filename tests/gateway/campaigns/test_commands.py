"""Campaigns by command, and lists that leave by command."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.customers import contacting
from gateway.cli import high_risk
from gateway.cli.campaigns import commands
from shared.campaigns.draw import Draw
from tests.gateway.campaigns.campaign_base import START, Base
from tests.gateway.conftest import Run
from tests.world import World


@pytest.fixture
def base(world: World, monkeypatch: pytest.MonkeyPatch) -> Base:
    for module in (commands, high_risk):
        monkeypatch.setattr(module, "prepare", lambda: world.environment)
    return Base(world)


def test_a_campaign_goes_by_command_from_its_plan_to_its_effect(base: Base, run: Run, tmp_path: Path) -> None:
    status, told, _ = run(base.world, "campaign", "plan", "--reduction", "0.2", "--top", "100")
    assert (status, "100 customers" in told, "Customers needed for 80 %" in told) == (None, True, True)
    _, told, complaint = run(base.world, "campaign", "create", "June", "--reduction", "0.2", "--control-share", "0.5")
    assert "without contact" in told, complaint
    _, listed, _ = run(base.world, "campaign", "export", "1")
    rows = [line.split(",") for line in listed.splitlines()[1:]]
    file = tmp_path / "sent.csv"
    file.write_text("campaign,customer,contacted_at\n" + "".join(f"June,{row[2]},{START}T10:00:00Z\n" for row in rows))
    _, told, complaint = run(base.world, "campaign", "contacts", str(file))
    assert told.startswith(f"June: {len(rows)} new contacts of {len(rows)}; 0 in"), complaint
    _, told, _ = run(base.world, "campaign", "effect", "1")
    assert "can be measured once all ends" in told
    assert "Saving" not in told
    _, told, _ = run(base.world, "campaign", "list")
    assert "June" in told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("campaign,customer,contacted_at\nJune,u0001,yesterday\n", "line 2, contacted_at: 'yesterday' is not a date"),
        (
            "campaign,customer,contacted_at\nJuly,u0001,2026-06-30\n",
            "line 2, campaign: there is no campaign of this name",
        ),
        ("campaign;customer;contacted_at\nJune;nobody;2026-06-30\n", "line 2, customer: there is no customer"),
        ("campaign,customer,contacted_at\n\nJune,u0001,2025-07-01\n", "line 3, contacted_at: the contact lies before"),
        ("campaign,customer,contacted_at\nJune,u0001\n", "line 2"),
        ("campaign,contacted_at\nJune,2026-07-01\n", "no column 'customer'"),
    ],
)
def test_a_file_of_contacts_that_can_not_be_used_is_refused(
    base: Base, run: Run, tmp_path: Path, text: str, why: str
) -> None:
    base.draw("June")
    file = tmp_path / "sent.csv"
    file.write_text(text)
    status, _, complaint = run(base.world, "campaign", "contacts", str(file))
    assert status == 2
    assert why in complaint


def test_the_list_of_the_likeliest_leaves_out_who_may_not_be_contacted(base: Base, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "objected.csv"
    file.write_text("customer\nu0000\n")
    _, told, _ = run(base.world, "do-not-contact", "add", str(file), "--reason", "objected")
    assert told.startswith("1 of 1")
    _, told, _ = run(base.world, "holdout", "--share", "0.3")
    assert "30 % are held out" in told
    with base.world.database.read() as connection:
        held = contacting.holdout(connection)
    assert held is not None
    _, listed, _ = run(base.world, "high-risk", "--limit", "200")
    blocked = {f"u{at:04}" for at, key in enumerate(base.ids) if Draw(held.seed).has(key, 0.3)} | {"u0000"}
    shown = {f"u{at:04}" for at in range(200) if f"u{at:04}" in listed}
    assert shown == {f"u{at:04}" for at in range(200)} - blocked
    _, everybody, _ = run(base.world, "high-risk", "--limit", "200", "--where", "contact=any")
    assert all(f"u{at:04}" in everybody for at in range(200))
    _, told, _ = run(base.world, "do-not-contact", "remove", "u0000")
    assert "may be contacted" in told
