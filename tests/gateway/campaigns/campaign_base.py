"""A small base with lifetimes and scores, on which campaigns are drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import maturity
from database.tables import tables
from gateway.services.campaigns import drawing
from shared.schema.features import built_in_schema
from tests.database.facts import NOW, Facts, full_run
from tests.world import TODAY, World

START = TODAY.date().isoformat()


def later(day: str) -> Any:
    """A clock at noon of a later day."""
    return lambda: datetime.fromisoformat(f"{day}T12:00:00+00:00").astimezone(UTC)


class Base:
    """Customers u0000, u0001 .. with open subscriptions, failed payments and falling scores."""

    def __init__(self, world: World, count: int = 200) -> None:
        self.world = world
        self.facts = Facts(world.database, built_in_schema())
        self.ids = self.facts.people(count)
        s = tables.subscriptions
        with world.database.write() as connection:
            rows = [
                {"customer_id": key, "started_at": "2026-01-01", "monthly_price": 9.0, "known_at": NOW}
                for key in self.ids
            ]
            connection.execute(insert(s), rows)
        scores = {key: 0.9 - 0.8 * at / count for at, key in enumerate(self.ids)}
        self.run_id = full_run(world.database, self.facts.model(), scores)

    def draw(self, name: str = "spring", **params: Any) -> Campaign:
        """A campaign, drawn by a job."""
        done = self.world.do("campaign", drawing.run, {"name": name, "reduction": 0.2, **params})
        return Campaign(**done)

    def arms(self, campaign: Campaign) -> dict[int, int]:
        """`is_control` of each member."""
        m = tables.campaign_members
        with self.world.database.read() as connection:
            query = select(m.c.customer_id, m.c.is_control).where(m.c.campaign_id == campaign.id)
            return {row.customer_id: row.is_control for row in connection.execute(query)}

    def leave(self, keys: list[int], on: str = "2026-07-10") -> None:
        """End the lifetimes of customers."""
        s = tables.subscriptions
        with self.world.database.write() as connection:
            connection.execute(s.update().where(s.c.customer_id.in_(keys)).values(ended_at=on))

    def mature(self, campaign: Campaign) -> None:
        """All ends are known up to the day on which a campaign matures, and today is that day."""
        with self.world.database.write() as connection:
            maturity.tell(connection, campaign.matures_on, "told", NOW)
        self.world.clock = later(campaign.matures_on)
        self.world.__dict__.pop("app", None)  # an app has the clock of the day on which it was made


def visible(world: World, campaign_id: int) -> Campaign | None:
    """The campaign, if it can be seen."""
    with world.database.read() as connection:
        return campaigns.get(connection, campaign_id)
