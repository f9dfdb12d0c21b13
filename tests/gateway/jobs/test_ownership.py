"""Rights on a job: who sees that it is there, who sees its result, who may stop it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.openapi import blueprint
from gateway.security import roles
from gateway.services import kinds
from gateway.services.exporting import export_files
from gateway.services.importing import uploads
from tests.gateway.job_owners import CELL, JobOwners


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobOwners]:
    made = JobOwners(tmp_path_factory.mktemp("office"))
    yield made
    made.database.close()


@pytest.mark.parametrize("who", ["ann", "root"])
@pytest.mark.parametrize("by", ["ann", "ann/import"])
def test_the_owner_and_administrators_see_what_a_job_came_to(office: JobOwners, who: str, by: str) -> None:
    done = office.data(who, f"/api/jobs/{office.job('preview', by)}")
    assert (done["result"], done["withheld"]) == ({"rows": [[CELL]]}, None)
    failed = office.data(who, f"/api/jobs/{office.job('import', by, state='failed')}")
    assert failed["error"]["details"] == [{"row": 2, "value": CELL}]


@pytest.mark.parametrize("state", ["done", "failed"])
@pytest.mark.parametrize("who", ["bob", "vic", "ann/import", "root/import"])
def test_others_see_that_it_is_there_and_how_far_and_nothing_of_the_file(
    office: JobOwners, who: str, state: str
) -> None:
    answer = office.ask(who, f"/api/jobs/{office.job('import', 'ann', state=state)}")
    job = answer.get_json()["data"]
    assert (answer.status_code, job["state"], job["kind"]) == (200, state, "import")
    assert CELL not in answer.get_data(as_text=True)
    assert job["result"] is None
    assert "owner and administrators" in job["withheld"]
    assert job["error"] is None or set(job["error"]) == {"code", "message"}


def test_a_key_owns_what_it_asked_for_and_no_other_key_does(office: JobOwners) -> None:
    job_id = office.job("import", "ann/import")
    assert office.data("ann/import", f"/api/jobs/{job_id}")["result"] is not None
    assert office.data("root/import", f"/api/jobs/{job_id}")["result"] is None


def test_what_a_command_started_is_for_administrators(office: JobOwners) -> None:
    job_id = office.job("demo", None)
    assert office.data("root", f"/api/jobs/{job_id}")["result"] is not None
    assert office.data("ann", f"/api/jobs/{job_id}")["result"] is None


@pytest.mark.parametrize("who", ["ann", "bob", "root", "root/import"])
def test_a_list_holds_no_results_and_no_details_whoever_asks(office: JobOwners, who: str) -> None:
    office.job("import", "ann")
    office.job("import", "ann", state="failed")
    answer = office.ask(who, "/api/jobs?limit=100")
    found = answer.get_json()["data"]["jobs"]
    assert found
    assert all(job["result"] is None and job["withheld"] for job in found)
    assert all("details" not in (job["error"] or {}) for job in found)
    assert ("@example.com" in answer.get_data(as_text=True)) is (who in ("ann", "root")), (
        "the sentence of one's own failure"
    )


@pytest.mark.parametrize("kind", sorted(kinds.KINDS))
@pytest.mark.parametrize("scope", ["import", "score", "read"])
def test_a_key_reaches_jobs_of_the_kinds_of_its_scope_alone(office: JobOwners, kind: str, scope: str) -> None:
    job_id = office.job(kind, "ann", state="queued")
    own = kinds.KINDS[kind].scope == scope
    assert office.ask(f"ann/{scope}", f"/api/jobs/{job_id}").status_code == (200 if own else 404)
    assert office.ask(f"ann/{scope}", f"/api/jobs/{job_id}", "DELETE").status_code == (403 if own else 404)
    listed = office.data(f"ann/{scope}", f"/api/jobs?limit=100&kind={kind}")["jobs"]
    assert (job_id in [job["id"] for job in listed]) is own
    assert {job["kind"] for job in office.data(f"ann/{scope}", "/api/jobs?limit=100")["jobs"]} <= kinds.of_scopes(
        [scope]
    )


def test_no_key_reaches_training() -> None:
    assert kinds.TRAIN.scope is None
    assert kinds.DEMO.scope is None


@pytest.mark.parametrize(
    ("who", "by", "status"),
    [("bob", "ann", 403), ("vic", "ann", 403), ("ann", "ann", 200), ("root", "ann", 200), ("ann", "ann/import", 200),
     ("ann/import", "ann/import", 200), ("ann/import", "ann", 403), ("ann", None, 403), ("root", None, 200)],
)  # fmt: skip
def test_a_job_is_cancelled_by_its_owner_and_by_administrators(
    office: JobOwners, who: str, by: str | None, status: int
) -> None:
    job_id = office.job("import", by, state="queued")
    assert office.ask(who, f"/api/jobs/{job_id}", "DELETE").status_code == status
    state = office.data("root", f"/api/jobs/{job_id}")["state"]
    assert state == ("cancelled" if status == 200 else "queued")


@pytest.mark.parametrize("path", ["/api/jobs/{}/file", "/api/customers/import/{}/rejects"])
def test_files_of_a_job_are_its_owners(office: JobOwners, path: str) -> None:
    job_id = office.job("export" if "file" in path else "import", "ann")
    statuses = {who: office.ask(who, path.format(job_id)).status_code for who in ("ann", "bob", "root")}
    assert statuses == {"ann": 404, "bob": 403, "root": 404}, (
        "there is no such file; who may not have it is not told so"
    )


@pytest.mark.parametrize("number", ["0", "999999", "9" * 30])
def test_a_job_that_is_not_there_is_told_as_before(office: JobOwners, number: str) -> None:
    assert office.ask("ann", f"/api/jobs/{number}").status_code == (404 if number == "999999" else 422)


def test_the_gateway_does_not_start_with_a_route_of_a_job_that_does_not_say_whose(
    office: JobOwners, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = blueprint("forgotten", __name__, prefix="/api/forgotten")
    forgotten.get("/<int:job_id>")(lambda path: "secret")
    route = ("GET", "/api/forgotten/<int:job_id>")
    monkeypatch.setitem(roles._RULES, route, ("viewer", (), "everybody's"))
    monkeypatch.setitem(roles.ACCESS, route, "viewer")
    with pytest.raises(LookupError, match=r"whose owner .* does not name: GET /api/forgotten/<int:job_id>"):
        create_app(office.settings, database=office.database, blueprints=(forgotten,))


@pytest.mark.parametrize(
    ("kind", "path", "action"),
    [
        ("export", "/api/jobs/{}/file", "export.fetched"),
        ("import", "/api/customers/import/{}/rejects", "rejects.fetched"),
    ],
)
def test_who_fetches_a_file_of_a_job_is_in_the_audit_log(office: JobOwners, kind: str, path: str, action: str) -> None:
    job_id = office.job(kind, "ann", params={"content": "customers"} if kind == "export" else {})
    folder = office.settings.data_folder
    file = export_files.path(folder, job_id) if kind == "export" else uploads.rejects_path(folder, job_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("reason,who\nx,ann\n")
    assert office.ask("bob", path.format(job_id)).status_code == 403
    fetched = office.ask("ann", path.format(job_id))
    assert (fetched.status_code, fetched.get_data()) == (200, file.read_bytes())
    assert not office.ask("ann", path.format(job_id), "HEAD").get_data()
    known = {"If-None-Match": fetched.headers["ETag"]}
    assert office.ask("ann", path.format(job_id), headers=known).status_code == 304
    rows = office.data("root", f"/api/audit?action={action}")["entries"]
    assert [(row["action"], row["subject"], row["user_id"]) for row in rows] == [
        (action, f"job:{job_id}", office.ids["ann"])
    ]


# --- the queue ------------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[JobOwners]:
    """A gateway whose queue takes two jobs of a person and kind, three of a person, and twelve in all."""
    made = JobOwners(tmp_path, MAX_QUEUED=2, MAX_QUEUE=12)
    yield made
    made.database.close()


def test_a_person_has_so_many_jobs_of_a_kind_waiting_and_no_more(narrow: JobOwners) -> None:
    train = {"path": "/api/model/train", "method": "POST", "json": {}}
    assert [narrow.ask("ann", **train).status_code for _ in range(2)] == [202, 202]
    refused = narrow.ask("ann", **train)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (429, "too_many_queued")
    assert int(refused.headers["Retry-After"]) > 0
    assert [narrow.ask("bob", **train).status_code for _ in range(2)] == [202, 202]
    for _ in range(8):
        narrow.job("train", None, state="queued")
    full = narrow.ask("root", **train)
    assert (full.status_code, full.get_json()["error"]["code"]) == (503, "queue_full")
    assert int(full.headers["Retry-After"]) > 0
    first = narrow.data("root", "/api/jobs")["jobs"][-1]["id"]
    narrow.ask("ann", f"/api/jobs/{first}", "DELETE")
    assert narrow.ask("ann", **train).status_code == 202


def test_one_person_takes_a_quarter_of_the_queue_with_all_kinds_and_keys(narrow: JobOwners) -> None:
    train = {"path": "/api/model/train", "method": "POST", "json": {}}
    for kind in ("import", "preview", "export"):
        narrow.job(kind, "ann/import", state="queued")
    refused = narrow.ask("ann", **train)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (429, "too_many_queued")
    assert int(refused.headers["Retry-After"]) > 0
    assert "3 of your jobs are waiting" in refused.get_json()["message"]
    assert narrow.ask("bob", **train).status_code == 202


def test_a_short_queue_takes_one_job_of_a_person(tmp_path: Path) -> None:
    made = JobOwners(tmp_path, MAX_QUEUE=2)
    train = {"path": "/api/model/train", "method": "POST", "json": {}}
    assert [made.ask("ann", **train).status_code for _ in range(2)] == [202, 429]
    made.database.close()


def test_a_repeated_key_gives_its_job_though_the_queue_is_full(narrow: JobOwners) -> None:
    train = {"path": "/api/model/train", "method": "POST", "headers": {"Idempotency-Key": "k"}}
    first = narrow.ask("ann", **train, json={})
    assert narrow.ask("ann", "/api/model/train", "POST", json={}).status_code == 202
    again = narrow.ask("ann", **train, json={})
    assert again.headers["Location"] == first.headers["Location"]


def test_the_same_key_with_another_body_is_refused(narrow: JobOwners) -> None:
    train = {"path": "/api/model/train", "method": "POST", "headers": {"Idempotency-Key": "k"}}
    assert narrow.ask("ann", **train, json={}).status_code == 202
    other = narrow.ask("ann", **train, json={"allow_leaks": ["x"]})
    error = other.get_json()["error"]
    assert (other.status_code, error["code"]) == (422, "idempotency_key_reused")
    assert error["details"][0]["field"] == "Idempotency-Key"


def test_the_same_key_with_another_file_or_another_way_to_take_it_is_refused(narrow: JobOwners) -> None:
    def send(content: bytes, **form: str) -> TestResponse:
        data = {"file": (BytesIO(content), "a.csv"), "schema": "retainstream", **form}
        return narrow.ask("ann", "/api/customers/import", "POST", data=data, headers={"Idempotency-Key": "k"})

    first = send(b"a,b\n1,2\n")
    assert first.status_code == 202
    assert send(b"a,b\n1,2\n").headers["Location"] == first.headers["Location"]
    assert [send(b"a,b\n1,3\n").status_code, send(b"a,b\n1,2\n", keep_good="true").status_code] == [422, 422]
    spool = narrow.settings.data_folder / "spool"
    assert len(list(spool.glob("upload-*"))) == 1, "uploads that nobody waits for are gone"
