"""The export of a campaign: whom to contact.

Law: the arm without contact never leaves unless it is asked for, and then it is marked.
"""

from __future__ import annotations

from sqlalchemy import Connection, case, select

from database.customers import contacting
from database.exporting.selection import Column, ExportColumn, Selection, selection
from database.tables import tables

c = tables.customers


def campaign(connection: Connection, campaign_id: int, *, is_contactable: bool) -> Selection:
    """Select the list of a campaign: who is to be contacted, likeliest to leave first.

    Parameters
    ----------
    is_contactable
        Without the arm that is not contacted, those who left and those who may not be contacted by now; otherwise
        these are marked.
    """
    m, t = tables.campaign_members, tables.campaigns
    control = m.c.is_control == 1
    status = case((control, "control"), (c.c.churn == 1, "left"), else_=contacting.status(connection, c.c.id))
    made = [
        ExportColumn(Column("campaign", "text"), t.c.name),
        ExportColumn(Column("action", "text"), t.c.action),
        ExportColumn(Column("customer", "text"), c.c.user_id),
        ExportColumn(Column("email", "text"), c.c.email),
        ExportColumn(Column("plan", "text"), c.c.plan),
        ExportColumn(Column("churn_probability", "number"), m.c.churn_probability),
        ExportColumn(Column("arm", "text"), case((control, "control"), else_="contact")),
        ExportColumn(Column("contact", "text"), status),
    ]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    query = query.join_from(m, c, c.c.id == m.c.customer_id).join(t, t.c.id == m.c.campaign_id)
    query = query.where(m.c.campaign_id == campaign_id)
    if is_contactable:
        query = query.where(~control, c.c.churn == 0, *contacting.is_allowed(connection, c.c.id))
    return selection(connection, made, query.order_by(m.c.churn_probability.desc(), m.c.customer_id))
