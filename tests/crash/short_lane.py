"""Operations of the worker's short lane: a campaign is drawn, contacts and objections come in files, a file is looked at."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.crash.operations import IMPORTED, SERVICES, Operation, UnderWay, asked, customers_file
from tests.stack import Stack

#: How campaigns of this suite are called, so that they are told from the demo's.
NAMED = "crash"
#: In a file: more than are written at first, so that a kill may come between two parts.
OBJECTIONS = 3_000


def _campaign(chance: random.Random) -> dict[str, Any]:
    """A campaign that nobody has drawn; few are left without contact, because later ones leave these out."""
    chosen = chance.choice([{}, {"plan": "Standard"}])
    name = f"{NAMED} {chance.getrandbits(60)}"
    return {"name": name, "reduction": 0.2, "control_share": 0.01, "filters": chosen}


def _draw(stack: Stack, chance: random.Random) -> UnderWay:
    return asked(stack, "POST", "/api/campaigns", json=_campaign(chance))


def _sent(stack: Stack, path: str, file: Path, **fields: str) -> UnderWay:
    with file.open("rb") as read:
        return asked(stack, "POST", path, files={"file": read}, data=fields)


def _written(stack: Stack, chance: random.Random, header: str, lines: Sequence[str]) -> Path:
    path = stack.folder / f"list-{chance.getrandbits(60)}.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def _contacts(stack: Stack, chance: random.Random) -> UnderWay:
    """Everybody of a new campaign was contacted on the day on which it was drawn."""
    made = stack.person("admin").post("/api/campaigns", _campaign(chance))
    assert made.status_code == 200, made.text
    drawn = made.json()["data"]
    theirs = "SELECT c.user_id FROM campaign_members AS m JOIN customers AS c ON c.id = m.customer_id"
    users = stack.rows(f"{theirs} WHERE m.campaign_id = ?", drawn["id"])
    lines = [f"{drawn['name']},{row['user_id']},{drawn['starts_on']}" for row in users]
    file = _written(stack, chance, "campaign,customer,contacted_at", lines)
    return _sent(stack, "/api/campaigns/contacts/import", file)


def _objections(stack: Stack, chance: random.Random) -> UnderWay:
    """Some of the imported customers object who never did; the demo's never do, so that campaigns find somebody."""
    users = _not_listed(stack)
    if len(users) < OBJECTIONS:
        _import_others(stack, chance)
        users = _not_listed(stack)
    file = _written(stack, chance, "customer", chance.sample(users, k=OBJECTIONS))
    return _sent(stack, "/api/do-not-contact/import", file, reason="objected")


def _not_listed(stack: Stack) -> list[str]:
    listed = "SELECT 1 FROM do_not_contact WHERE customer_id = c.id"
    imported = f"SELECT user_id FROM customers AS c WHERE user_id LIKE '{IMPORTED}%' AND NOT EXISTS ({listed})"
    return [row["user_id"] for row in stack.rows(imported)]


def _import_others(stack: Stack, chance: random.Random) -> None:
    """Import customers whom nobody has imported."""
    before = stack.value(f"SELECT count(*) FROM customers WHERE user_id LIKE '{IMPORTED}%'")
    begun = _sent(stack, "/api/customers/import", customers_file(stack, chance, first=before), schema="retainstream")
    assert begun.job_id is not None
    job = stack.person("admin").ended(begun.job_id)
    assert job["state"] == "done", job


def _proposal(stack: Stack, chance: random.Random) -> UnderWay:
    return _sent(stack, "/api/customers/import/schema", customers_file(stack, chance))


def _preview(stack: Stack, chance: random.Random) -> UnderWay:
    return _sent(stack, "/api/customers/import/preview", customers_file(stack, chance))


OPERATIONS = (
    Operation("campaign", _draw, SERVICES, 0.5),
    Operation("contacts", _contacts, SERVICES, 0.6),
    Operation("do not contact", _objections, SERVICES, 0.5),
    Operation("proposal", _proposal, SERVICES, 0.8),
    Operation("preview", _preview, SERVICES, 0.3),
)
