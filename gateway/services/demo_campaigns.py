"""The demo's two finished campaigns, one with an effect and one without: whom they contacted, and how they are written.

Law: who was contacted follows from the facts of the first day and the stored seed alone, for the simulation, in which
an effect is planted, as for the database, in which it is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from database.campaigns import campaigns
from database.scoring.run_writer import Scores
from gateway.services.campaigns import drawing
from gateway.services.campaigns.planning import Plan
from gateway.services.jobs.params import CampaignParams
from gateway.services.jobs.work import Work
from gateway.services.scoring.scoring_run import Batch
from shared.campaigns.catalogue import built_in_catalogue
from shared.campaigns.draw import Draw
from shared.campaigns.power import size
from shared.clock import iso
from shared.contracts import arrow
from shared.simulation.simulate import Campaign

CONTROL_SHARE = 0.5
#: The relative reduction of leavers that both are large enough to find.
REDUCTION = 0.35
#: A customer and the churn probability of the day.
Member = tuple[int, float]


@dataclass(frozen=True)
class PastCampaign:
    """A campaign of a past month, for all customers with `feature` at most `at_most`.

    Attributes
    ----------
    month
        Month of the demo, 0 = oldest; matured by the last.
    seed
        Seed of the arms; fixed, because the simulation must know them. A real campaign's seed is drawn.
    log_odds
        The effect that is planted: added to the log-odds of leaving by choice.
    """

    month: int
    name: str
    action: str
    feature: str
    at_most: float
    seed: str
    log_odds: float

    @property
    def simulated(self) -> Campaign:
        """The campaign as the simulation takes it."""
        return Campaign(self.month, self._contacted, self.log_odds)

    def _contacted(self, rows: Mapping[str, Any]) -> np.ndarray:
        found = rows[self.feature] <= self.at_most
        found[found] = [not self.is_control(customer_id(number)) for number in rows["customer"][found].tolist()]
        return np.asarray(found)

    def is_control(self, key: int) -> bool:
        """Return whether a customer of the list is in the arm without contact."""
        return Draw(self.seed).has(key, CONTROL_SHARE)

    def members(self, batch: Batch, scores: Scores) -> list[Member]:
        """Return the customers of a scored batch that are on the list."""
        chosen = arrow.decode(batch.body).column(self.feature).to_numpy() <= self.at_most
        probabilities = scores.columns["churn_probability"]
        return list(zip(batch.customer_ids[chosen].tolist(), probabilities[chosen].tolist(), strict=True))


#: Both lists are rules on facts: the subscribers are simulated before anybody is scored.
CAMPAIGNS = (
    PastCampaign(11, "Second device: one device only", "second_device", "device_count", 1, "demo second device", 0.0),
    PastCampaign(
        12, "Personal picks: new subscribers", "personal_picks", "subscription_age_months", 3, "demo picks", -1.25
    ),
)


def customer_id(number: int) -> int:
    """Return the key of a simulated customer."""
    return number + 1


class Lists:
    """The lists of the campaigns that start in a month, gathered while its customers are scored."""

    def __init__(self, month: int) -> None:
        self._members: dict[PastCampaign, list[Member]] = {each: [] for each in CAMPAIGNS if each.month == month}

    def add(self, batch: Batch, scores: Scores) -> None:
        """Add the customers of a scored batch."""
        for campaign, members in self._members.items():
            members += campaign.members(batch, scores)

    def draw(self, work: Work, *, day: str, run_id: int) -> None:
        """Draw the campaigns, after all customers were scored by a run."""
        for campaign, members in self._members.items():
            _draw(work, campaign, members, day=day, run_id=run_id)


def _draw(work: Work, campaign: PastCampaign, members: Sequence[Member], *, day: str, run_id: int) -> None:
    """Draw a campaign of a past day as any other is drawn, and record that the whole contacted arm was contacted."""
    catalogue = built_in_catalogue()
    action = catalogue.actions[campaign.action]
    keys, probabilities = zip(*members, strict=True)
    rate = sum(probabilities) / len(members)
    planned = Plan(
        members=keys,
        probabilities=probabilities,
        left_out=Counter(),
        size=size(len(members), rate, REDUCTION, CONTROL_SHARE),
        run_id=run_id,
        action=action,
        catalogue=catalogue,
        starts_on=day,
    )
    filters = ((f"feature.{campaign.feature}.max", f"{campaign.at_most:g}"),)
    params = CampaignParams(campaign.name, campaign.action, filters, reduction=REDUCTION, control_share=CONTROL_SHARE)
    now = iso(work.clock())
    made = drawing.draw(work.database, planned, params, seed=campaign.seed, now=now, actor=work.actor)
    contacts = [(made.id, key, day) for key in keys if not campaign.is_control(key)]
    with work.database.write() as connection:
        campaigns.record_contacts(connection, contacts)
