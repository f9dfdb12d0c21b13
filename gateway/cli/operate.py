"""Commands for operators: serve, work, migrate, demo, and the first run of `make run`.

Law: no business rule is here; the processes started are those that the containers start.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from functools import partial

import click

from database.accounts import users
from database.customers import customer_base
from database.engine import files
from database.engine.migrate import migrate
from database.engine.session import Database
from database.jobs import job_lists
from gateway.cli.setup import follow, prepare, run_here, until_available
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.accounts import accounts
from gateway.services.accounts.demo_account import DEMO_EMAIL, DEMO_PASSWORD
from gateway.services.jobs import locks, work
from gateway.services.jobs.params import NoParams
from gateway.settings import Settings, load_settings
from gateway.worker import main as run_worker
from shared.clock import utc_now
from shared.commands.printing import echo
from shared.errors import ServiceError
from shared.plural import plural
from shared.web.gunicorn import serve, why_not
from shared.web.logs import configure_logs, log_everything

JOBS_RUN = "A job reads or writes customers: remove the demo once it has ended. Nothing was removed."


@click.command()
@click.option("--reload", is_flag=True, help="Restart when a source file changes (development).")
def gateway(reload: bool) -> None:
    """Migrate the database, then serve the API and the page."""
    settings = load_settings()
    problem = why_not(settings.host, settings.port, "PORT")
    if problem is not None:
        raise click.ClickException(problem)
    json_lines = settings.log_format == "json"
    configure_logs(service="gateway", level=settings.log_level, json_lines=json_lines)
    log_everything()
    with files.shared_use(settings.database_path, survive_exec=True):
        migrate(settings.database_path)
        serve(
            "gateway.app:create_app",
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            reload=reload,
            json_logs_of="gateway" if json_lines else None,
        )


@click.command()
@click.option("--check", is_flag=True, help="Only check whether a worker was seen recently (exit status 0) or not (2).")
def worker(check: bool) -> None:
    """Run jobs: training in one lane, short work in another, everything else in a third."""
    if check:
        settings = load_settings()
        work.require_worker(Database(settings.database_path, pooled=False), utc_now)
        return
    run_worker()


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest migration (the gateway does this at its start)."""
    settings = load_settings()
    configure_logs(service="cli", level="error", json_lines=False, is_command=True)
    migrate(settings.database_path)
    echo(f"{settings.database_path} is up to date.")


@click.command()
@click.option("--remove", is_flag=True, help="Remove the demo and its account; the models' records stay.")
@click.option("--force", is_flag=True, help="With --remove: also remove data imported into the demo.")
def demo(remove: bool, force: bool) -> None:
    """Make the demo: simulated customers, models trained on them, today's scores."""
    environment = prepare()
    if remove:
        from gateway.services import demo as use_case  # numpy and pyarrow: only where they are needed

        with locks.customers_alone(environment.settings, JOBS_RUN):
            removed = use_case.remove(environment.database, environment.clock, force=force)
        accounts.remove_demo_account(environment.database)
        echo("The demo is removed." if removed else "There is no demo here.")
        return
    _demo_account(environment)
    result = run_here(environment, kinds.DEMO, NoParams())
    echo(
        "The demo exists already."
        if result["unchanged"]
        else f"{plural(result['predictions_generated'], 'customer')} scored."
    )


def _demo_account(environment: Environment) -> None:
    settings = environment.settings
    accounts.create_demo_account(
        environment.database, clock=environment.clock, cost=settings.bcrypt_cost, app_env=settings.app_env
    )


@click.command()
@click.option("--dev", is_flag=True, help="Restart when a source file changes.")
def up(dev: bool) -> None:
    """Start everything on this machine: both services, the worker, the demo on the first start."""
    from gateway.cli.supervising import LastingManager  # honcho: only where it is needed

    settings = load_settings()
    problem = settings.contradiction or why_not(settings.host, settings.port, "PORT")
    if problem is not None:
        raise click.ClickException(problem)
    python = shlex.quote(sys.executable)
    # A line for each request would bury the progress of the first start.
    quiet = {} if dev or "log_level" in settings.model_fields_set else {"LOG_LEVEL": "warning"}
    env = {**os.environ, "PYTHONUNBUFFERED": "1", **quiet}
    worker_line = f"{python} -m gateway worker"
    if dev:
        worker_line = f"{python} -m watchfiles --filter python {shlex.quote(worker_line)} gateway database shared"
    reload = " --reload" if dev else ""
    manager = LastingManager()
    manager.add_process("ml", f"exec {python} -m ml_service{reload}", env=env)
    manager.add_process("gateway", f"exec {python} -m gateway gateway{reload}", env=env)
    manager.add_process("worker", f"exec {worker_line}", env=env)
    manager.add_process("setup", f"exec {python} -m gateway first-run --stay", env=env)
    manager.loop()
    sys.exit(manager.returncode)


@click.command("first-run", hidden=True)
@click.option("--stay", is_flag=True, help="Do not return when done, so that a process manager keeps the others.")
@click.option("--queue", is_flag=True, help="Only queue the demo if it is wanted, and do not wait.")
def first_run(stay: bool, queue: bool) -> None:
    """Wait for both services, then make the demo if the database is empty, and print the addresses."""
    environment = prepare()
    if queue:
        _queue_demo(environment)
        return
    try:
        until_available(partial(_require_services, environment))
        job_id = _queue_demo(environment)
        if job_id is not None:
            work.result_or_raise(follow(environment, job_id))
        print_addresses(environment)
    except ServiceError as error:
        echo(f"Error: {error.message}", fg="red", err=True)
        if not stay:
            sys.exit(1)
    if stay:
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def _require_services(environment: Environment) -> None:
    environment.ml.health()
    work.require_worker(environment.database, environment.clock)


def _queue_demo(environment: Environment) -> int | None:
    """Queue the demo if it is wanted and the database is empty; return None if there is nothing to do."""
    with environment.database.read() as connection:
        present = customer_base.get(connection)
        running = job_lists.active(connection, kinds.DEMO.name)
    wanted = environment.settings.demo and environment.settings.app_env != "production"
    if not wanted or (present is not None and (present.is_ready or not present.is_demo)):
        return None
    _demo_account(environment)
    echo("Making the demo: simulated customers, training, scoring. This happens once.", err=True)
    return running or work.submit(environment.database, environment.clock, kinds.DEMO, NoParams())


def print_addresses(environment: Environment) -> None:
    """Print where to look, and whom to sign in as or how to get an account."""
    settings = environment.settings
    with environment.database.read() as connection:
        present, people = customer_base.get(connection), users.enabled_people(connection)
    lines = ["", f"RetainStream is ready: http://localhost:{settings.port}"]
    if present is None:
        lines.append("No customers yet: retainstream import FILE --schema SCHEMA, then retainstream train, score.")
    has_demo_account = present is not None and present.is_demo and settings.app_env != "production"
    lines += _how_to_sign_in(settings, has_demo_account=has_demo_account, has_people=people > 0)
    lines.append(f"API documentation: http://localhost:{settings.port}/api/docs   Stop with Ctrl-C.")
    echo(*lines)


def _how_to_sign_in(settings: Settings, *, has_demo_account: bool, has_people: bool) -> Iterator[str]:
    if has_demo_account:
        yield f"Sign in with the demo account: {DEMO_EMAIL} / {DEMO_PASSWORD}"
    elif not has_people:
        register = "register on the page, or " if settings.registration_is_open else ""
        yield (
            f"No account yet: {register}make an administrator's with "
            '`retainstream user create YOU@example.com --name "YOUR NAME" --role admin`.'
        )


COMMANDS = (gateway, worker, migrate_command, demo, up, first_run)
