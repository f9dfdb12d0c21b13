"""Write examples/customers.csv again: 1,000 simulated subscribers of one month whose outcome is known.

Run from the root of the repository: `python -m examples.make_customers`.
"""

import csv
from pathlib import Path

from shared.simulation.simulate import PLANS, SimulatedMonths, simulate

TARGET = Path(__file__).with_name("customers.csv")
CUSTOMERS, SEED, FIRST_USER = 1_000, 2024, 100_001
COLUMNS = (
    "watch_time_hours",
    "subscription_age_months",
    "device_count",
    "last_login_days",
    "payment_failures",
    "tenure_months",
    "monthly_price",
)
HEADER = ("user_id", "email", "plan", *COLUMNS, "churn")


def rows(month: SimulatedMonths) -> list[list[object]]:
    """Return one list per customer in the order of `HEADER`."""
    table: list[list[object]] = []
    for position in range(len(month)):
        user = f"usr_{FIRST_USER + position}"
        values = [getattr(month, column)[position].item() for column in COLUMNS]
        plan = PLANS[month.plan[position]].name
        table.append([user, f"{user}@example.com", plan, *values, int(month.churned[position])])
    return table


def write(target: Path = TARGET) -> None:
    """Simulate the month and write it to `target`."""
    month = simulate("documented", customers=CUSTOMERS, months=1, seed=SEED).months
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows(month))


if __name__ == "__main__":
    write()
