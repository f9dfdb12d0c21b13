"""How lifetimes go on beyond the reach of a model: the shifted-beta-geometric distribution of the whole base.

Law: it is fitted while a model is trained, on ends known by then, and stored with the model's report.
"""

from __future__ import annotations

from database.customers import lifetimes, maturity
from database.engine.session import Connection
from shared.contracts.api import Cohort
from shared.lifetime import fit_sbg

#: With fewer ends the two numbers are chance.
MIN_ENDS = 100


def fit(connection: Connection, today: str) -> Cohort | None:
    """Fit the base's lifetimes as they were known on an ISO date; see docs/definitions.md#sbg.

    Only the time up to which all ends are known counts.

    Returns
    -------
    cohort
        None where starts are not dated, too few ended, or older customers leave as often as new ones.
    """
    known = maturity.complete_to(connection)
    table = None if known is None else lifetimes.life_table(connection, min(today, known))
    if table is None or sum(row.left for row in table.rows) < MIN_ENDS:
        return None
    found = fit_sbg(table.rows)
    if found is None:
        return None
    return Cohort(
        alpha=found.alpha,
        beta=found.beta,
        ages=table.ages,
        at_risk=int(sum(row.at_risk for row in table.rows)),
        left=int(sum(row.left for row in table.rows)),
        months=(table.first_month, table.last_month),
    )
