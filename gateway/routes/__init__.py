"""One blueprint per documented resource. A route reads the request, calls one function, writes the response."""

from gateway.routes import (
    audit,
    auth,
    customers,
    dashboard,
    exports,
    health,
    histories,
    imports,
    jobs,
    keys,
    listing,
    model,
    pages,
    predictions,
    schema,
    users,
)

ALL_BLUEPRINTS = (
    health.bp,
    auth.bp,
    keys.bp,
    users.bp,
    audit.bp,
    dashboard.bp,
    imports.bp,
    listing.bp,
    customers.bp,
    histories.bp,
    exports.bp,
    predictions.bp,
    model.bp,
    jobs.bp,
    schema.bp,
    pages.bp,
)
