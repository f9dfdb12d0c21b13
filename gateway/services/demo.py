"""The demo: a simulated subscription business, fifteen months of it up to today, scored by the models live then.

Law: demo data are processed like real data: dated facts, labels from lifetimes, models trained over HTTP, a ledger with
outcomes, drawn campaigns. Nothing else that the simulation computes (true probabilities, events after today) is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from database.accounts import audit
from database.accounts.audit import COMMAND_LINE
from database.customers import customer_base, facts, maturity
from database.customers.customer_base import column_names, customers_table, snapshots_table
from database.customers.last_activity import last_activity
from database.engine.bulk_insert import insert_dicts, insert_rows
from database.engine.session import Connection, Database
from database.importing import imports
from database.models import models
from database.scoring.run_writer import open_run
from database.tables.tables import subscriptions
from gateway.services.demo_campaigns import CAMPAIGNS, Lists, customer_id
from gateway.services.importing.publish_import import refresh_figures
from gateway.services.jobs.cancellable_calls import cancellable_call
from gateway.services.jobs.params import NoParams, ScoreParams
from gateway.services.jobs.work import Work
from gateway.services.models import training
from gateway.services.monitoring import drifting
from gateway.services.scoring.scoring_run import batches_to_score
from gateway.services.scoring.scoring_run import run as score
from gateway.services.scoring.scoring_run import score as score_batch
from shared.clock import Clock, days_later, iso, utc_now
from shared.errors import Conflict
from shared.schema.features import built_in_schema
from shared.simulation.simulate import END_REASONS, PLANS, SimulatedMonths, SimulatedSubscriptions, Simulation, simulate

PRESET = "documented"
SEED = 7
#: Thirteen matured months, one whose 30 days are over but not the grace gap, and today's: as many as it takes to judge
#: the longest horizon on a later month than it was calibrated on.
MONTHS = 15
MONTH_DAYS = 30
FIRST_USER_NUMBER = 500_001
#: Months (0 = oldest) in which a model was trained; each model scored the months until the next training.
TRAINED_AT = (6, 10)


@dataclass(frozen=True)
class Documented:
    """A customer that the documentation and old dashboards name, with the facts shown there."""

    user_id: str
    plan: str
    watch_time_hours: float
    subscription_age_months: int
    device_count: int
    last_login_days: int
    payment_failures: int


DOCUMENTED = (
    Documented("usr_942183", "Premium 4K", 450.0, 14, 3, 2, 0),
    Documented("usr_331092", "Standard", 120.0, 3, 1, 5, 2),
    Documented("usr_776104", "Basic Ads", 80.0, 8, 2, 1, 1),
    Documented("usr_210554", "Premium 4K", 500.0, 24, 5, 12, 0),
)


def run(work: Work, params: NoParams) -> Mapping[str, Any]:
    """Make the demo data, replay past trainings and scorings, publish today's scores."""
    if not load(work.within(0.0, 0.15)):
        return {"unchanged": True}
    replay(work.within(0.15, 0.65))
    with work.database.read() as connection:
        today = facts.last_date(connection)
    assert today is not None
    training.train(work.within(0.65, 0.92), today=today)
    scored = score(work.within(0.92, 1.0), ScoreParams())
    drifting.measure(work, scored["run_id"])
    refresh_figures(work)
    with work.database.write() as connection:
        customer_base.mark_ready(connection)
    return {"unchanged": False, **scored}


def load(work: Work) -> bool:
    """Write the simulated facts; return False if they exist already.

    Raises
    ------
    Conflict
        The database holds customers that are not the demo's.
    """
    with work.database.read() as connection:
        present = customer_base.get(connection)
    if present is not None and not present.is_demo:
        raise Conflict("This database holds your own customers: the demo needs another one (set DATABASE_PATH).")
    if present is not None and present.is_ready:
        return False
    if present is not None:
        remove(work.database)
    today = work.clock().date()
    work.step(0.0, "Simulating subscribers")
    business = partial(simulate, PRESET, months=MONTHS, seed=SEED, campaigns=[each.simulated for each in CAMPAIGNS])
    size = {"customers": work.settings.demo_customers, "last_calendar_month": today.month}
    simulated = cancellable_call(work, partial(business, **size))
    dates = [(today - timedelta(days=MONTH_DAYS * (MONTHS - 1 - m))).isoformat() for m in range(MONTHS)]
    with work.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=True, clock=work.clock)
        writer = _Writer(connection, simulated, dates, iso(work.clock()))
        writer.write_customers()
        writer.write_subscriptions()
        maturity.tell(connection, dates[-1], "told", iso(work.clock()))  # a simulation knows all its ends
    for month in range(MONTHS):
        with work.database.write() as connection:
            _Writer(connection, simulated, dates, iso(work.clock())).write_month(month)
        work.step((month + 1) / MONTHS, f"Wrote the facts of {dates[month]}")
    return True


class _Writer:
    """Writes the rows of a simulation to the database."""

    def __init__(self, connection: Connection, simulated: Simulation, dates: Sequence[str], now: str) -> None:
        self._connection = connection
        self._months = simulated.months
        last_day = MONTH_DAYS * (MONTHS - 1)
        self._lives = simulated.subscriptions.known_on(last_day)
        self._dates, self._now = dates, now
        self._schema = built_in_schema()
        self._renamed = documented_customers(simulated.months)

    def write_customers(self) -> None:
        """Write every past and present customer with their last facts."""
        numbers, last = _last_rows(self._months)
        present = self._months.month[last] == MONTHS - 1
        facts_of = self._features(self._months.rows(last))
        prices = self._months.monthly_price[last].tolist()
        names = column_names(self._schema)
        rows = []
        for at, number in enumerate(numbers.tolist()):
            user_id = self._user_id(number)
            own = {
                "id": customer_id(number),
                "user_id": user_id,
                "email": f"{user_id}@example.com",
                "last_activity": last_activity(facts_of[at]["last_login_days"]),
                "churn": int(not present[at]),
                "monthly_price": prices[at],
                "currency": "USD",
                "as_of": self._dates[int(self._months.month[last[at]])],
                "created_at": self._now,
                "updated_at": self._now,
            }
            rows.append(own | {names[feature]: value for feature, value in facts_of[at].items()})
        insert_dicts(self._connection, customers_table(self._schema), rows)

    def write_subscriptions(self) -> None:
        """Write the lifetimes as known today."""
        lives = self._lives
        known = set(np.unique(self._months.customer).tolist())
        rows = [
            {
                "customer_id": customer_id(customer),
                "started_at": days_later(self._dates[0], start),
                "ended_at": None if is_open else days_later(self._dates[0], end),
                "end_reason": None if is_open else END_REASONS[reason],
                "plan": PLANS[plan].name,
                "monthly_price": price,
                "currency": "USD",
                "known_at": self._now,
            }
            for customer, start, is_open, end, reason, plan, price in _rows_of(lives)
            if customer in known
        ]
        insert_dicts(self._connection, subscriptions, rows)

    def write_month(self, month: int) -> None:
        """Write the snapshots of one month."""
        day = self._dates[month]
        part = self._months.rows(self._months.month == month)
        import_id = imports.record(
            self._connection, file_name=f"simulated {day}", sha256=f"{imports.SIMULATED}{PRESET}-{SEED}-{month}",
            schema_checksum=self._schema.checksum(), as_of=day, rows=len(part), new=0, updated=len(part), now=self._now,
        )  # fmt: skip
        rows = [
            (customer_id(number), day, day, import_id, *values.values())
            for number, values in zip(part.customer.tolist(), self._features(part), strict=True)
        ]
        columns = ("customer_id", "as_of", "known_at", "import_id", *column_names(self._schema).values())
        insert_rows(self._connection, snapshots_table(self._schema), columns, rows)

    def _features(self, part: SimulatedMonths) -> list[dict[str, Any]]:
        names = self._schema.feature_names
        columns = [
            [PLANS[code].name for code in part.plan.tolist()] if name == "plan" else getattr(part, name).tolist()
            for name in names
        ]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        for at, (number, month) in enumerate(zip(part.customer.tolist(), part.month.tolist(), strict=True)):
            if month == MONTHS - 1 and number in self._renamed:
                rows[at] |= _documented_facts(self._renamed[number])
        return rows

    def _user_id(self, number: int) -> str:
        given = self._renamed.get(number)
        return given.user_id if given else f"usr_{FIRST_USER_NUMBER + number}"


def _rows_of(lives: SimulatedSubscriptions) -> Iterator[tuple[Any, ...]]:
    names = ("customer", "started_day", "is_open", "ended_day", "end_reason", "plan", "monthly_price")
    return zip(*(getattr(lives, name).tolist() for name in names), strict=True)


def _last_rows(months: SimulatedMonths) -> tuple[np.ndarray, np.ndarray]:
    """Return the customer numbers, and the position of each one's newest row."""
    numbers, from_end = np.unique(months.customer[::-1], return_index=True)
    return numbers, len(months) - 1 - from_end


def _documented_facts(given: Documented) -> dict[str, Any]:
    return {name: getattr(given, name) for name in built_in_schema().feature_names if name != "tenure_months"}


def documented_customers(months: SimulatedMonths) -> dict[int, Documented]:
    """Match simulated customers, by number, with documented ones of the same plan and a similar subscription age.

    Only today's facts are replaced; they are too recent to train on, so no label changes.
    """
    today = months.rows(months.month == MONTHS - 1)
    taken: dict[int, Documented] = {}
    for given in DOCUMENTED:
        same_plan = np.array([PLANS[code].name == given.plan for code in today.plan.tolist()])
        distance = np.abs(today.subscription_age_months - given.subscription_age_months).astype(float)
        # Their tenure stays the simulated one, so it must not exceed the age by much.
        distance += np.abs(today.tenure_months - given.subscription_age_months)
        distance[~same_plan | np.isin(today.customer, list(taken))] = np.inf
        taken[int(today.customer[int(distance.argmin())])] = given
    return taken


def replay(work: Work) -> None:
    """Train and score the past months, each with the model that was live then."""
    with work.database.read() as connection:
        dates = facts.snapshot_dates(connection)
    steps = len(dates) - 1 - TRAINED_AT[0]
    span = 1.0 / (steps + 3 * len(TRAINED_AT))
    at = 0.0
    for month in range(TRAINED_AT[0], len(dates) - 1):
        day = dates[month]
        if month in TRAINED_AT:
            training.train(work.within(at, at + 3 * span), today=day, live_from=f"{day}T06:00:00.000Z")
            at += 3 * span
        _score_past(work.within(at, at + span), day, Lists(month))
        at += span


def _score_past(work: Work, day: str, lists: Lists) -> None:
    with work.database.read() as connection:
        live = models.live(connection)
    assert live is not None
    moment, schema = datetime.fromisoformat(f"{day}T08:00:00Z"), built_in_schema()
    opened = open_run(work.database, lambda: moment, kind="past", model_id=live.id, as_of=day, job_id=work.job.id)
    with opened as run:
        for batch in batches_to_score(work.database, schema, partial(facts.to_score, schema, day)):
            scores = score_batch(work, live.version, day, batch)[0]
            run.append(scores)
            lists.add(batch, scores)
        run.finish()
    lists.draw(work, day=day, run_id=run.run_id)
    work.step(1.0, f"Scored {day} with {live.version}")


def remove(database: Database, clock: Clock = utc_now, *, force: bool = False) -> bool:
    """Remove the demo's customers, facts and scores, not its models' records; return False if there is no demo.

    Raises
    ------
    Conflict
        The database holds imported customers, without the demo or (unless `force`) beside it.
    """
    with database.write() as connection:
        present = customer_base.get(connection)
        if present is None:
            return False
        if not present.is_demo:
            raise Conflict("This database holds your own customers, not the demo; nothing was removed.")
        if not force and imports.has_own(connection):
            raise Conflict("Your own tables were imported into the demo and would be removed too; --force removes all.")
        customer_base.forget(connection, present.schema)
        audit.record(connection, "demo.removed", at=iso(clock()), actor=COMMAND_LINE)
    return True
