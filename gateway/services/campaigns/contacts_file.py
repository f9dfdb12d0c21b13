"""Reads the CSV files of contacts that came back and of customers who must not be contacted.

Law: a file with a line that can't be read is refused whole; lines are named by their numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from gateway.services.campaigns.contacts import Contact
from shared.errors import Detail, InvalidTable
from shared.tables.formula_guard import unguard_cell

CONTACTS = ("campaign", "customer", "contacted_at")
CUSTOMERS = ("customer",)


def read_contacts(path: Path) -> dict[str, list[Contact]]:
    """Return the contacts of each campaign, by its name. Raises InvalidTable."""
    found: dict[str, list[Contact]] = {}
    details: list[Detail] = []
    for line, (campaign, customer, contacted_at) in _lines(path, CONTACTS):
        try:
            day = date.fromisoformat(contacted_at[:10]).isoformat()
        except ValueError:
            details.append({"row": line, "field": "contacted_at", "message": "expected a date such as 2026-01-31"})
            continue
        found.setdefault(campaign, []).append(Contact(customer, day))
    if details:
        raise InvalidTable(f"{path.name}: {len(details)} lines have no date; nothing was stored.", details=details)
    return found


def read_customers(path: Path) -> list[str]:
    """Return the user_ids of a file. Raises InvalidTable."""
    return [customer for _, (customer,) in _lines(path, CUSTOMERS)]


def _lines(path: Path, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in names if name not in (reader.fieldnames or ())]
            if missing:
                raise InvalidTable(f"{path.name} has no column {missing[0]}; expected {', '.join(names)}.")
            for row in reader:
                yield reader.line_num, [unguard_cell((row[name] or "").strip()) for name in names]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidTable(f"{path.name} can't be read: {error}") from None
