"""Commands of campaigns: plan, draw, list, export, contacts, effect; do-not-contact; holdout.

Law: no saving is printed without the effect and its interval.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from database.accounts.audit import COMMAND_LINE
from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import contacting
from database.customers.contacting import Reason
from gateway.cli.setup import filter_pair, prepare, run_here
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.campaigns import contacts, measuring, planning
from gateway.services.exporting.exporting import Export, record_export
from gateway.services.jobs.params import CampaignParams, FileParams, SuppressParams
from shared.campaigns.catalogue import LEAST_WORTH, MOST_MONEY
from shared.campaigns.power import Size
from shared.clock import iso
from shared.commands.printing import echo, write_data
from shared.plural import plural

LIST = (
    click.option("--action", help="An action of the catalogue."),
    click.option("--where", multiple=True, metavar="NAME=VALUE", help="A filter, as in the API. May be repeated."),
    click.option("--segment", type=click.IntRange(min=1), help="A saved segment, by its number."),
    click.option("--top", type=click.IntRange(min=2), help="So many at most, the likeliest to leave first."),
    click.option("--reduction", type=click.FloatRange(0, 1, min_open=True), help="Relative reduction to plan for."),
    click.option("--control-share", type=click.FloatRange(0.01, 0.5), help="Share without contact."),
    click.option("--clv", type=click.FloatRange(LEAST_WORTH, MOST_MONEY), help="Value of a customer who stays."),
)


def _with_list(command: Any) -> Any:
    for option in reversed(LIST):
        command = option(command)
    return command


def _params(env: Environment, name: str, where: tuple[str, ...], segment: int | None, **given: Any) -> CampaignParams:
    asked = CampaignParams(name, filters=tuple(filter_pair(text) for text in where), **given)
    with env.database.read() as connection:
        return planning.of_segment(connection, asked, segment, None)


@click.group()
def campaign() -> None:
    """Plan, draw, export and measure campaigns."""


@campaign.command()
@_with_list
def plan(where: tuple[str, ...], **given: Any) -> None:
    """Print the size of a campaign before it starts; nothing is written."""
    env = prepare()
    params = _params(env, "", where, **given)
    with env.database.read() as connection:
        today = env.clock().date().isoformat()
        found = planning.plan(connection, env.settings, params, today)
    _print_size(found.size, found.left_out, found.matures_on)


@campaign.command()
@click.argument("name")
@_with_list
def create(name: str, where: tuple[str, ...], **given: Any) -> None:
    """Freeze the list of campaign NAME and draw its arms."""
    env = prepare()
    made = Campaign(**run_here(env, kinds.CAMPAIGN, _params(env, name, where, **given)))
    echo(f"Campaign {made.id}: {made.contact:,} to be contacted, {made.control:,} without contact.")
    echo(f"Seed {made.seed}. The effect can be measured once all ends up to {made.matures_on} are known.")


def _print_size(size: Size, left_out: dict[str, int], matures_on: str) -> None:
    needed = "no number" if size.needed_in_all is None else f"{size.needed_in_all:,}"
    echo(f"{plural(size.customers, 'customer')}, {size.expected_rate * 100:.1f} % of whom are expected to leave.")
    echo(f"Without contact: {size.control_share * 100:g} %, about {plural(size.control, 'customer')}.")
    echo(f"A reduction of {size.reduction * 100:g} % is found with a probability of {size.power * 100:.0f} %.")
    echo(f"Customers needed for 80 %: {needed}. Measured once all ends up to {matures_on} are known.")
    for reason, count in sorted(left_out.items()):
        echo(f"Left out, {reason}: {count:,}.")


@campaign.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def list_command(limit: int) -> None:
    """List campaigns, newest first."""
    with prepare().database.read() as connection:
        for each in campaigns.page(connection, limit=limit):
            arms = f"{each.contact:,} to be contacted, {each.control:,} without contact"
            echo(f"{each.id:>5}  {each.starts_on}  {each.name}: {arms}, measured from {each.matures_on} on")


@campaign.command()
@click.argument("number", type=int)
@click.option("--contact", type=click.Choice(["allowed", "any"]), default="allowed", show_default=True)
def export(number: int, contact: str) -> None:
    """Print whom campaign NUMBER contacts, as CSV."""
    env = prepare()
    contacts.mark_exported(env.database, number, now=env.clock(), actor=COMMAND_LINE)
    pairs = [("campaign", str(number)), ("contact", contact)]
    found = Export(env.database, "campaign", "csv", pairs, unsure_below=env.settings.confidence_threshold)
    try:
        record_export(
            env.database, content="campaign", form="csv", pairs=pairs, at=iso(env.clock()), actor=COMMAND_LINE
        )
        for part in found:
            write_data(part)
    finally:
        found.close()


@campaign.command("contacts")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_contacts(file: Path) -> None:
    """Import contacts: FILE has the columns campaign, customer, contacted_at; all of it or nothing."""
    done = run_here(prepare(), kinds.IMPORT_CONTACTS, FileParams(str(file.resolve()), file.name))
    for each in done["campaigns"]:
        rows = each["new"] + each["known"]
        told = f"{each['new']:,} new contacts of {rows:,}; {each['in_control']:,} in the arm without contact."
        echo(f"{each['name']}: {told}")
    _print_notes(done)


@campaign.command()
@click.argument("number", type=int)
def effect(number: int) -> None:
    """Print the effect of campaign NUMBER, or why there is none yet."""
    env = prepare()
    with env.database.read() as connection:
        found = measuring.find(connection, number)
        measured = measuring.effect_of(connection, found, env.clock().date().isoformat())
        money = measuring.saving(connection, found, measured)
    for name, arm in (
        (("without contact", measured.arms.control), ("contacted", measured.arms.contact)) if measured.arms else ()
    ):
        echo(f"{name}: {arm.left:,} of {arm.customers:,} left.")
    if measured.effect is not None:
        low, high = (100 * end for end in measured.effect.interval)
        echo(f"Effect {100 * measured.effect.difference:.2f} points (95 %: {low:.2f} to {high:.2f}).")
    echo(measured.verdict)
    if money is not None:
        low, high = money.net_interval
        echo(f"Saving {money.net:,.0f} (95 %: {low:,.0f} to {high:,.0f}), with {found.clv:g} for a customer kept.")


@click.group("do-not-contact")
def do_not_contact() -> None:
    """Keep the list of customers who must not be contacted."""


@do_not_contact.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", type=click.Choice(["objected", "no consent"]), required=True)
def add(file: Path, reason: str) -> None:
    """Add the customers of FILE, which has the column customer: all of them or none."""
    params = SuppressParams(str(file.resolve()), file.name, cast(Reason, reason))
    done = run_here(prepare(), kinds.SUPPRESS, params)
    echo(f"{done['new']:,} of {done['rows']:,} customers are new on the list.")
    _print_notes(done)


def _print_notes(done: dict[str, Any]) -> None:
    for note in done["notes"]:
        echo(f"note: {note}", err=True)


@do_not_contact.command()
@click.argument("user_id")
def remove(user_id: str) -> None:
    """Take a customer off the list."""
    env = prepare()
    contacts.allow(env.database, user_id, at=iso(env.clock()), actor=COMMAND_LINE)
    echo(f"{user_id} may be contacted.")


@click.command()
@click.option("--share", type=click.FloatRange(0, 0.5), help="Set the share that no campaign contacts.")
def holdout(share: float | None) -> None:
    """Print the universal hold-out and what it measures, or set its share."""
    env = prepare()
    if share is not None:
        contacts.set_share(env.database, share, at=iso(env.clock()), actor=COMMAND_LINE)
    with env.database.read() as connection:
        held = contacting.holdout(connection)
        _, measured = measuring.effect_of_holdout(connection, held, env.clock().date().isoformat())
    if held is not None:
        echo(f"{held.share * 100:g} % are held out since {held.since}; seed {held.seed}.")
    echo(measured.verdict)


COMMANDS = (campaign, do_not_contact, holdout)
