"""Contacts and objections as files, a campaign of a segment, lists that mark, and what is kept of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from database.campaigns import campaigns
from database.customers import contacting, customer_base
from database.tables import tables
from gateway.services import kinds
from gateway.services.campaigns import contact_files, contacts
from gateway.services.jobs import running
from gateway.services.maintenance import retention
from gateway.services.maintenance.retention import Limits
from shared.errors import InvalidTable
from shared.tables.open import OpenTable
from tests.database.facts import full_run
from tests.gateway.campaigns.campaign_base import START, Base, later
from tests.world import World


@pytest.fixture
def base(world: World) -> Base:
    return Base(world)


def imported(base: Base, tmp_path: Path, kind: kinds.JobKind[Any], text: str | bytes, **more: Any) -> dict[str, Any]:
    file = tmp_path / "sent.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done: dict[str, Any] = base.world.do(kind.name, kind.run, {"path": str(file), "file_name": "sent.csv", **more})
    return done


def test_contacts_of_several_campaigns_come_back_in_one_file_however_it_is_written(base: Base, tmp_path: Path) -> None:
    campaigns = [base.draw("spring", top=50, control_share=0.5), base.draw("summer", control_share=0.5)]
    names = {key: f"u{at:04}" for at, key in enumerate(base.ids)}
    lines = [
        f"{each.name};{names[key]};30.06.2026"
        for each in campaigns
        for key in list(base.arms(each))[:10]
    ]  # fmt: skip
    text = "campaign;customer;contacted_at\r\n" + "\r\n".join(lines) + "\r\n"
    for new in (10, 0):  # a second time changes nothing
        done = imported(base, tmp_path, kinds.IMPORT_CONTACTS, text.encode("utf-16"))
        assert [(each["name"], each["new"], each["known"]) for each in done["campaigns"]] == [
            (each.name, new, 10 - new) for each in campaigns
        ]
    assert any("semicolons" in note for note in done["notes"])


@pytest.mark.parametrize(("name", "other"), [("2026.10", "2026.1"), ("007", "7"), ("TRUE", "true"), ("1.50", "1.5")])
def test_contacts_go_to_the_campaign_whose_name_stands_in_the_file_and_no_similar_one(
    base: Base, tmp_path: Path, name: str, other: str
) -> None:
    drawn = [base.draw(each, control_share=0.5) for each in (other, name)]
    key = min(set(base.arms(drawn[0])) & set(base.arms(drawn[1])))
    for wanted in (drawn[1], drawn[0]):
        text = f"campaign,customer,contacted_at\n {wanted.name} ,u{base.ids.index(key):04},{wanted.starts_on}\n"
        done = imported(base, tmp_path, kinds.IMPORT_CONTACTS, text)
        assert [(each["campaign_id"], each["name"]) for each in done["campaigns"]] == [(wanted.id, wanted.name)]


def test_a_line_without_a_campaign_is_named(base: Base, tmp_path: Path) -> None:
    base.draw("spring")
    with pytest.raises(InvalidTable, match="line 2, campaign: "):
        imported(base, tmp_path, kinds.IMPORT_CONTACTS, f"campaign,customer,contacted_at\n,u0000,{START}\n")


def test_one_wrong_line_stores_nothing_and_every_wrong_line_is_named(base: Base, tmp_path: Path) -> None:
    base.draw("spring")
    text = f"campaign,customer,contacted_at\nspring,u0000,{START}\nspring,nobody,{START}\nautumn,u0001,{START}\n"
    with pytest.raises(InvalidTable) as refused:
        imported(base, tmp_path, kinds.IMPORT_CONTACTS, text)
    assert [(each["row"], each["field"], each["value"]) for each in refused.value.details] == [
        (3, "customer", "nobody"), (4, "campaign", "autumn"),
    ]  # fmt: skip
    with pytest.raises(InvalidTable, match="line 3, customer: there is no customer with this user_id"):
        imported(base, tmp_path, kinds.SUPPRESS, "customer\nu0001\nnobody\n", reason="objected")
    with base.world.database.read() as connection:
        for table in (tables.campaign_contacts, tables.do_not_contact):
            assert connection.execute(table.select()).all() == []


def test_a_contact_in_the_future_is_refused_by_both_doors_with_the_same_words(base: Base, tmp_path: Path) -> None:
    campaign = base.draw("spring")
    wanted = {
        "field": "contacted_at",
        "value": "2026-07-01",
        "message": "2026-07-01 lies in the future (today is 2026-06-30)",
    }
    lines = [("u0000", START), ("u0001", "2026-07-01")]
    with pytest.raises(InvalidTable) as refused:
        imported(base, tmp_path, kinds.IMPORT_CONTACTS, "campaign,customer,contacted_at\n" + "".join(
            f"spring,{customer},{day}\n" for customer, day in lines
        ))  # fmt: skip
    assert refused.value.details == [wanted | {"row": 3}]
    sent = {"contacts": [{"customer": customer, "contacted_at": day} for customer, day in lines]}
    answer = base.world.ask("POST", f"/api/campaigns/{campaign.id}/contacts", json=sent)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["details"] == [wanted | {"field": "contacts.1.contacted_at"}]
    with base.world.database.read() as connection:
        assert connection.execute(tables.campaign_contacts.select()).all() == []


def test_objections_come_in_a_file_and_name_who_asked(base: Base, tmp_path: Path) -> None:
    done = imported(base, tmp_path, kinds.SUPPRESS, "customer\nu0001\nu0002\nu0001\n", reason="no consent")
    assert (done["rows"], done["new"]) == (3, 2)
    with base.world.database.read() as connection:
        a = tables.audit_log
        rows = connection.execute(a.select().where(a.c.action == "contact.suppressed")).all()
    assert [(row.actor, row.subject) for row in rows] == [("worker", "2 customers: no consent")]


def test_a_file_of_more_rows_than_fit_into_memory_is_refused(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_files, "MOST_ROWS", 2)
    text = "customer\nu0001\nu0002\nu0003\n"
    with pytest.raises(InvalidTable, match="more than 2 rows: split it"):
        imported(base, tmp_path, kinds.SUPPRESS, text, reason="objected")


def test_of_a_file_of_too_many_rows_no_more_are_read_than_may_be_there(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    batches = OpenTable.batches

    def counted(table: OpenTable, *args: Any) -> Iterator[Any]:
        for batch in batches(table, *args):
            read.append(len(batch["customer"]))
            yield batch

    monkeypatch.setattr(OpenTable, "batches", counted)
    monkeypatch.setattr(contact_files, "MOST_ROWS", 10)
    text = "customer\n" + "u0001\n" * 2_000_000
    with pytest.raises(InvalidTable, match="more than 10 rows: split it"):
        imported(base, tmp_path, kinds.SUPPRESS, text, reason="objected")
    assert 0 < sum(read) < 1_000_000


@pytest.mark.parametrize("kind", [kinds.CAMPAIGN, kinds.IMPORT_CONTACTS, kinds.SUPPRESS])
def test_nobody_is_erased_while_a_job_writes_about_customers_that_it_looked_up(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: kinds.JobKind[Any]
) -> None:
    base.draw("spring", control_share=0.5)
    statuses: list[int] = []

    def erased_meanwhile(write: Any) -> Any:
        def written(*args: Any) -> Any:
            statuses.append(base.world.ask("DELETE", "/api/customers/u0000", "admin").status_code)
            return write(*args)

        return written

    base.world.signed_in("admin")
    for module, name in ((campaigns, "append"), (campaigns, "record_contacts"), (contacting, "suppress")):
        monkeypatch.setattr(module, name, erased_meanwhile(getattr(module, name)))
    if kind is kinds.CAMPAIGN:
        base.draw("summer")
    else:
        lines = {kinds.IMPORT_CONTACTS: f"campaign,customer,contacted_at\nspring,u0000,{START}\n"}
        more = {} if kind in lines else {"reason": "objected"}
        imported(base, tmp_path, kind, lines.get(kind, "customer\nu0000\n"), **more)
    assert statuses == [409]
    assert base.world.ask("DELETE", "/api/customers/u0000", "admin").status_code == 200


def test_the_files_are_taken_over_rest_by_whoever_may_import(base: Base) -> None:
    for path, more in (("/api/campaigns/contacts/import", {}), ("/api/do-not-contact/import", {"reason": "objected"})):
        for role, status in (("viewer", 403), ("analyst", 503)):  # 503: no worker runs here
            form = {"file": (BytesIO(b"customer\nu0001\n"), "few.csv"), **more}
            answer = base.world.ask("POST", path, role, data=form, content_type="multipart/form-data")
            assert answer.status_code == status, answer.get_json()
    form = {"file": (BytesIO(b"customer\nu0001\n"), "few.csv"), "reason": "bored"}
    answer = base.world.ask("POST", "/api/do-not-contact/import", data=form, content_type="multipart/form-data")
    assert answer.status_code == 422


def segment(base: Base, query: str, role: str = "analyst", **more: Any) -> int:
    body = {"name": query or "everybody", "query": query, **more}
    answer = base.world.ask("POST", "/api/segments", role, json=body)
    assert answer.status_code == 201, answer.get_json()
    return int(answer.get_json()["data"]["id"])


def planned(base: Base, **body: Any) -> Any:
    return base.world.ask("POST", "/api/campaigns/plan", json={"reduction": 0.2, **body})


def test_a_campaign_of_a_segment_has_its_filters_beside_others(base: Base) -> None:
    number = segment(base, "min_probability=0.5&sort=-monthly_price&show=device_count")
    alone = planned(base, segment=number).get_json()["data"]["size"]["customers"]
    assert alone == planned(base, filters={"min_probability": "0.5"}).get_json()["data"]["size"]["customers"] < 200
    both = planned(base, segment=number, filters={"max_probability": "0.6"}).get_json()["data"]["size"]["customers"]
    assert 0 < both < alone
    twice = planned(base, segment=number, filters={"min_probability": "0.1"})
    assert twice.status_code == 422
    assert "already" in twice.get_json()["message"]


def test_a_segment_that_is_not_shared_is_nobody_elses(base: Base) -> None:
    own = segment(base, "", "admin")
    assert planned(base, segment=own).status_code == 422
    assert planned(base, segment=999).get_json()["error"]["details"][0]["field"] == "segment"
    assert planned(base, segment=segment(base, "", "admin", name="all", shared=True)).status_code == 200


def test_lists_that_are_read_page_by_page_mark_who_may_not_be_contacted(base: Base) -> None:
    base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0000"], "reason": "objected"})
    for path in ("/api/customers?limit=2", "/api/customers/high-risk?limit=2"):
        listed = base.world.ask("GET", path).get_json()["data"]["customers"]
        assert [(each["user_id"], each["contact"]) for each in listed] == [
            ("u0000", "do not contact"), ("u0001", "allowed"),
        ], path  # fmt: skip


def test_the_effect_outlives_the_scores_that_the_list_was_drawn_by(base: Base) -> None:
    campaign = base.draw(control_share=0.5)
    base.leave([key for key, is_control in base.arms(campaign).items() if is_control][:30])
    base.mature(campaign)
    path = f"/api/campaigns/{campaign.id}/effect"
    before = base.world.ask("GET", path).get_json()["data"]
    full_run(base.world.database, base.facts.model("9.0.0"), dict.fromkeys(base.ids, 0.5), as_of="2027-01-31")
    gone = retention.run(base.world.database, Limits(1, None, None), clock=later("2028-06-30"))
    assert gone["ledger"] == 200
    assert base.world.ask("GET", path).get_json()["data"] == before
    assert before["effect"] is not None


def test_whatever_is_stored_of_customers_goes_with_the_base() -> None:
    held = {table for table in tables.metadata.tables.values() if "customer_id" in table.columns}
    held |= {tables.customers, tables.campaigns, tables.holdout}
    assert held - set(customer_base._OF_THE_BASE) == set()


def test_the_progress_of_a_file_of_contacts_grows_over_all_its_campaigns(base: Base, tmp_path: Path) -> None:
    campaigns = [base.draw("spring", top=50, control_share=0.5), base.draw("summer", control_share=0.5)]
    names = {key: f"u{at:04}" for at, key in enumerate(base.ids)}
    lines = [f"{each.name},{names[key]},{START}\n" for each in campaigns for key in list(base.arms(each))[:3]]
    file, told = tmp_path / "sent.csv", list[tuple[float, str]]()
    file.write_text("campaign,customer,contacted_at\n" + "".join(lines))
    begun = base.world.work("import-contacts", {"path": str(file), "file_name": "sent.csv"})
    begun = replace(begun, report=lambda done, stage: told.append((done, stage)))
    assert running.run(begun, kinds.IMPORT_CONTACTS).state == "done"
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert [stage for _, stage in told if "Opening" not in stage] == [
        "Reading the file", "Looking up the customers of 6 rows", "Wrote 3 of 6 rows", "Wrote 6 of 6 rows",
    ]  # fmt: skip


def test_a_file_of_contacts_is_cancelled_while_its_rows_are_looked_at(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.draw("spring")
    file = tmp_path / "sent.csv"
    file.write_text("campaign,customer,contacted_at\n" + f"spring,u0000,{START}\n" * 50)
    begun = base.world.work("import-contacts", {"path": str(file), "file_name": "sent.csv"})
    refusal, seen = contacts.refusal, []

    def looked(*args: Any) -> Any:
        seen.append(1)
        begun.stops.set()
        return refusal(*args)

    monkeypatch.setattr(contact_files, "AT_ONCE", 10)
    monkeypatch.setattr(contacts, "refusal", looked)
    assert running.run(begun, kinds.IMPORT_CONTACTS).state == "cancelled"
    assert len(seen) == 10
