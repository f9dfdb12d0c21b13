"""One blueprint per documented resource. A route reads the request, calls one function, writes the response."""

from gateway.routes import auth, customers, dashboard, health, imports, jobs, model, pages, predictions, schema, users

ALL_BLUEPRINTS = (
    health.bp,
    auth.bp,
    users.bp,
    dashboard.bp,
    imports.bp,
    customers.bp,
    predictions.bp,
    model.bp,
    jobs.bp,
    schema.bp,
    pages.bp,
)
