"""All tables under one name, such as `tables.users`.

Law: the feature columns of `customers` and `customer_snapshots` are not here: they are made from
the base's schema (`database.customers.customer_base`). Only `customers`, `users` and the notes of
`worklist` hold personal data; all others refer to integer keys. Dates are ISO text, timestamps ISO 8601 UTC text with
`Z`: both sort chronologically.
"""

from __future__ import annotations

from database.tables.campaigns import (
    campaign_contacts,
    campaign_members,
    campaigns,
    contact_changes,
    do_not_contact,
    holdout,
)
from database.tables.catalogue import metadata
from database.tables.customer_base import (
    base,
    customer_snapshots,
    customers,
    imports,
    known_ends,
    population_history,
    schema_versions,
    subscriptions,
    withdrawn_ends,
)
from database.tables.monitoring import drift_reports, measured_runs, outcome_bins
from database.tables.people import api_keys, audit_log, rate_limits, revoked_tokens, users
from database.tables.scoring import (
    is_finished,
    kept_figures,
    ledger,
    outcomes,
    prediction_date,
    prediction_id,
    predictions,
    present_changes,
    present_ranks,
    present_state,
    published_run,
    score_bins,
    score_changes,
    scoring_runs,
    with_scores,
)
from database.tables.segments import (
    cohort_months,
    group_churn,
    mrr_months,
    past_prices,
    segments,
    worklist,
    worklist_history,
)
from database.tables.trained_models import feature_importance, model_metrics, model_timeline, models
from database.tables.webhooks import webhook_deliveries, webhook_events, webhooks
from database.tables.work import jobs, schedule, workers

__all__ = [
    "api_keys",
    "audit_log",
    "base",
    "campaign_contacts",
    "campaign_members",
    "campaigns",
    "cohort_months",
    "contact_changes",
    "customer_snapshots",
    "customers",
    "do_not_contact",
    "drift_reports",
    "feature_importance",
    "group_churn",
    "holdout",
    "imports",
    "is_finished",
    "jobs",
    "kept_figures",
    "known_ends",
    "ledger",
    "measured_runs",
    "metadata",
    "model_metrics",
    "model_timeline",
    "models",
    "mrr_months",
    "outcome_bins",
    "outcomes",
    "past_prices",
    "population_history",
    "prediction_date",
    "prediction_id",
    "predictions",
    "present_changes",
    "present_ranks",
    "present_state",
    "published_run",
    "rate_limits",
    "revoked_tokens",
    "schedule",
    "schema_versions",
    "score_bins",
    "score_changes",
    "scoring_runs",
    "segments",
    "subscriptions",
    "users",
    "webhook_deliveries",
    "webhook_events",
    "webhooks",
    "with_scores",
    "withdrawn_ends",
    "workers",
    "worklist",
    "worklist_history",
]
