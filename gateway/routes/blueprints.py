"""One blueprint per documented resource. A route reads the request, calls one function, writes the response.

Law: no blueprint imports another.
"""

from gateway.routes import dashboard, health, pages, value
from gateway.routes.accounts import api_keys, audit, auth, users
from gateway.routes.campaigns import actions, campaigns, contacting
from gateway.routes.customers import announced, customer_history, customers, listing, score_changes, work
from gateway.routes.exporting import exports
from gateway.routes.importing import imports, schema
from gateway.routes.jobs import jobs, schedule
from gateway.routes.models import dependence, model, training
from gateway.routes.monitoring import live
from gateway.routes.scoring import changes, predictions
from gateway.routes.segments import cohorts, movement, segments, summaries
from gateway.routes.webhooks import webhooks

ALL_BLUEPRINTS = (
    health.bp,
    auth.bp,
    api_keys.bp,
    users.bp,
    audit.bp,
    dashboard.bp,
    value.bp,
    imports.bp,
    listing.bp,
    customers.bp,
    customer_history.bp,
    score_changes.bp,
    announced.bp,
    work.bp,
    exports.bp,
    predictions.bp,
    changes.bp,
    actions.bp,
    campaigns.bp,
    contacting.bp,
    model.bp,
    training.bp,
    dependence.bp,
    live.bp,
    live.stored_bp,
    jobs.bp,
    schedule.bp,
    schema.bp,
    segments.bp,
    summaries.bp,
    cohorts.bp,
    webhooks.bp,
    movement.bp,
    pages.bp,
)
