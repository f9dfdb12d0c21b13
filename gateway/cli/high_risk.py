"""The command that lists the customers most likely to leave, with their reasons.

Law: filters are those of `GET /api/customers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from database.customers import contacting, customer_base
from database.engine.session import Connection
from database.models import models
from database.scoring import runs, score_figures
from database.scoring.expected_leavers import expected_leavers
from database.scoring.score_figures import Tail
from gateway.cli.setup import filter_pair, prepare
from gateway.environment import Environment
from gateway.services.customers import paging
from gateway.services.customers.filtering import Pair
from gateway.services.scoring import reasons as explaining
from shared.commands.printing import echo
from shared.errors import InvalidInput, NoCustomers
from shared.plural import plural
from shared.risk import risk_level
from shared.schema.features import Schema

ROWS_AT_ONCE = 500
NO_SCORES = "No customer is scored yet: import a table, then `retainstream train` and `retainstream score`."


@click.command("high-risk")
@click.option("--limit", type=click.IntRange(1, 100_000), default=10, show_default=True, help="Customers to show.")
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="A filter, as in the API: plan=Standard, min_probability=0.5, feature.device_count.max=1. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each customer.")
def high_risk(limit: int, where: tuple[str, ...], as_json: bool) -> None:
    """List the customers most likely to leave, with their reasons."""
    print_likeliest(prepare(), limit=limit, pairs=[filter_pair(text) for text in where], as_json=as_json)


def print_likeliest(
    environment: Environment, *, limit: int = 10, pairs: Sequence[Pair] = (), as_json: bool = False
) -> None:
    """Print the customers most likely to leave, with their reasons; those who pass the filters, if there are any."""
    if any(name == "scored" for name, _ in pairs):
        raise InvalidInput("The list holds scored customers alone: leave the filter `scored` out.")
    # A list leaves by this command: whoever may not be contacted is on it only where `contact=any` asks for them.
    by_default = [] if any(name == "contact" for name, _ in pairs) else [("contact", "allowed")]
    with environment.database.read() as connection:
        present, run = customer_base.get(connection), runs.published(connection)
        if present is None or run is None:
            raise NoCustomers(NO_SCORES)
        tail = score_figures.tail(connection, run.run_id, environment.settings.cut)
        if not as_json:
            whom = "All customers, without these filters: " if pairs else ""
            echo(
                f"{whom}{tail.customers:,} of {tail.all_customers:,} customers are above {environment.settings.cut}. "
                f"{_expected(connection, run.model_version, tail)} Model {run.model_version}, data of {run.as_of}."
            )
        found = False
        for row in _rows(connection, present.schema, environment, [*pairs, *by_default], limit):
            found = True
            echo(_as_json(present.schema, row) if as_json else _as_line(present.schema, row))
    if not found and not as_json:
        echo("No scored customer passes these filters.")


def _expected(connection: Connection, version: str, tail: Tail) -> str:
    found = expected_leavers(connection, version, tail.expected, tail.variance)
    if found.number is None or found.interval is None:
        return found.note or ""
    low, high = found.interval
    within = _within(connection, version)
    return f"{found.number:,.0f} are expected to leave{within} (95 %: {low:,.0f} to {high:,.0f})."


def _within(connection: Connection, version: str) -> str:
    """The days that a model's scores cover, as words; nothing where its table did not say."""
    model = models.get(connection, version)
    days = None if model is None else model.figures.get("horizon_days")
    return "" if days is None else f" within {plural(days, 'day')}"


def _rows(
    connection: Connection, schema: Schema, environment: Environment, pairs: Sequence[Pair], limit: int
) -> Iterator[Mapping[str, Any]]:
    """The customers that pass the filters, from the likeliest to leave on."""
    after: str | None = None
    while limit > 0:
        page = paging.page_of(
            connection,
            schema,
            pairs,
            sort_text="-churn_probability",
            limit=min(limit, ROWS_AT_ONCE),
            after=after,
            unsure_below=environment.settings.confidence_threshold,
            everyone=0,
        )
        yield from page.rows
        limit, after = limit - len(page.rows), page.next
        if after is None:
            return


def _as_line(schema: Schema, row: Mapping[str, Any]) -> str:
    reasons = "; ".join(reason["text"] for reason in explaining.stored_reasons(schema, row))
    marked = "" if row["contact_status"] == contacting.ALLOWED else f"[{row['contact_status']}] "
    return f"{row['churn_probability'] * 100:5.1f} %  {row['user_id']:<16}  {marked}{reasons}"


def _as_json(schema: Schema, row: Mapping[str, Any]) -> str:
    reasons = explaining.stored_reasons(schema, row)
    probability = row["churn_probability"]
    return json.dumps(
        {
            "user_id": row["user_id"],
            "churn_probability": probability,
            "risk_level": risk_level(probability),
            "revenue_at_risk": row["revenue_at_risk"],
            "contact": row["contact_status"],
            "reasons": reasons,
        }
    )


COMMANDS = (high_risk,)
