"""A worker that dies or stands still amid a job of the short lane: the next attempt goes on, and it alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.campaigns import campaigns
from database.customers import contacting
from database.engine.batch_sizing import AdaptiveBatchSize
from database.jobs import jobs, lost_jobs
from database.jobs.jobs import Job
from database.tables import tables
from gateway.services import kinds
from gateway.services.campaigns import contact_files, drawing
from gateway.services.jobs import running
from gateway.services.jobs.work import Work, read
from shared.errors import Cancelled
from tests.database.facts import NOW
from tests.gateway.campaigns.campaign_base import START, Base
from tests.world import World


@pytest.fixture
def base(world: World) -> Base:
    return Base(world)


class Dies(BaseException):
    """A worker that is killed: nothing of the job's end is written."""


def attempt(base: Base, job_id: int) -> Work:
    """A job that was lost is claimed again."""
    with base.world.database.write() as connection:
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), NOW)
        job = jobs.claim_one(connection, job_id, worker="next", now=NOW)
    assert job is not None
    return Work(base.world.environment, job)


@pytest.mark.parametrize("kind", [kinds.IMPORT_CONTACTS, kinds.SUPPRESS])
def test_a_file_whose_worker_died_amid_its_rows_counts_all_that_are_new_and_is_audited_once(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: kinds.JobKind[Any]
) -> None:
    begun = in_parts(base, tmp_path, monkeypatch, kind)
    module, name = (campaigns, "record_contacts") if kind is kinds.IMPORT_CONTACTS else (contacting, "suppress")
    write, parts = getattr(module, name), []

    def written(*args: Any) -> int:
        if len(parts) == 2:
            raise Dies
        parts.append(args)
        return int(write(*args))

    with monkeypatch.context() as patched:
        patched.setattr(module, name, written)
        with pytest.raises(Dies):
            kind.run(begun, kind.read(begun.job.params))
    again = running.run(attempt(base, begun.job.id), kind)
    is_whole(base, again, kind)


@pytest.mark.parametrize("kind", [kinds.IMPORT_CONTACTS, kinds.SUPPRESS])
@pytest.mark.parametrize("has_ended", [True, False])
def test_a_worker_that_stood_still_and_comes_back_writes_nothing_beside_the_next_attempt(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: kinds.JobKind[Any], has_ended: bool
) -> None:
    begun = in_parts(base, tmp_path, monkeypatch, kind)
    note, others = Work.note, list[Work]()

    def stands_still(self: Work, progress: float, stage: str) -> None:
        note(self, progress, stage)
        if not others:
            others.append(attempt(base, begun.job.id))
            if has_ended:
                is_whole(base, running.run(others[0], kind), kind)

    monkeypatch.setattr(Work, "note", stands_still)
    with pytest.raises(Cancelled):
        kind.run(begun, kind.read(begun.job.params))
    if not has_ended:
        assert len(written_by(base, kind)) == 30
        is_whole(base, running.run(others[0], kind), kind)
    is_whole(base, read(base.world.database, begun.job.id), kind)


def in_parts(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: kinds.JobKind[Any]) -> Work:
    """A claimed job of a file of 100 rows, which are written 30 at a time."""
    monkeypatch.setattr(contact_files, "AdaptiveBatchSize", partial(AdaptiveBatchSize, first=30, fewest=30, most=30))
    base.draw("spring")
    file = tmp_path / "sent.csv"
    columns = "campaign,customer,contacted_at" if kind is kinds.IMPORT_CONTACTS else "customer"
    row = f"spring,u{{:04}},{START}" if kind is kinds.IMPORT_CONTACTS else "u{:04}"
    file.write_text("\n".join([columns, *(row.format(k) for k in range(100))]) + "\n")
    return base.world.work(kind.name, {"path": str(file), "file_name": "sent.csv", "reason": "objected"})


def written_by(base: Base, kind: kinds.JobKind[Any]) -> list[Any]:
    """The rows of contacts or of objections."""
    table = tables.campaign_contacts if kind is kinds.IMPORT_CONTACTS else tables.do_not_contact
    with base.world.database.read() as connection:
        return list(connection.execute(table.select()).all())


def is_whole(base: Base, again: Job, kind: kinds.JobKind[Any]) -> None:
    """All rows are there, told as new, and audited once."""
    assert again.state == "done", again.error
    told = again.result["campaigns"][0] if kind is kinds.IMPORT_CONTACTS else again.result  # type: ignore[index]
    assert len(written_by(base, kind)) == told["new"] == 100
    action = "campaign.contacts" if kind is kinds.IMPORT_CONTACTS else "contact.suppressed"
    with base.world.database.read() as connection:
        a = tables.audit_log
        said = connection.execute(a.select().where(a.c.action == action)).all()
    assert len(said) == 1
    assert "100" in said[0].subject


def test_a_campaign_whose_worker_died_once_it_was_drawn_is_told_by_the_next_attempt(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = base.world.work("campaign", {"name": "summer", "reduction": 0.2})
    made = kinds.CAMPAIGN.run(begun, kinds.CAMPAIGN.read(begun.job.params))
    again = running.run(attempt(base, begun.job.id), kinds.CAMPAIGN)
    assert (again.state, again.error) == ("done", None)
    assert again.result == made


def test_a_campaign_that_was_cancelled_in_its_last_moment_is_not_there(base: Base) -> None:
    begun = base.world.work("campaign", {"name": "summer", "reduction": 0.2})
    with base.world.database.write() as connection:
        jobs.request_cancel(connection, begun.job.id, NOW)
    assert running.run(begun, kinds.CAMPAIGN).state == "cancelled"
    with base.world.database.read() as connection:
        assert connection.execute(tables.campaigns.select()).all() == []


def test_what_was_drawn_of_a_campaign_that_is_not_tried_again_goes(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> bool:
        raise Dies

    begun = base.world.work("campaign", {"name": "summer", "reduction": 0.2})
    with monkeypatch.context() as patched:
        patched.setattr(campaigns, "finish", dies)
        for lost in (begun, None):
            given = lost or attempt(base, begun.job.id)
            with pytest.raises(Dies):
                kinds.CAMPAIGN.run(given, kinds.CAMPAIGN.read(begun.job.params))
            drawing.drop_lost(base.world.database)
            assert left(base) == (1, 200), "its job is tried again"
    with base.world.database.write() as connection:
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), NOW)
    drawing.drop_lost(base.world.database)
    assert left(base) == (0, 0)


def left(base: Base) -> tuple[int, int]:
    """The rows of campaigns and of their members."""
    with base.world.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (tables.campaigns, tables.campaign_members)
        ]
    return counts[0], counts[1]
