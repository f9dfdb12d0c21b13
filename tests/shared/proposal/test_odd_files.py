"""Customer files as people have them: each kind of oddity is read right, or its column and cells are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.errors import InvalidTable
from shared.proposal.schema_inference import InferredSchema, infer_schema
from shared.tables.read import CustomerTable, read_table

Infer = Callable[[str], InferredSchema]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.fixture
def infer(file: Path) -> Infer:
    def of_text(text: str) -> InferredSchema:
        file.write_text(text, encoding="utf-8")
        return infer_schema(file)

    return of_text


def values(table: CustomerTable) -> dict[str, list[Any]]:
    return {name: table.features[name].to_pylist() for name in table.features.column_names}


def told(notes: Any, *words: str) -> bool:
    return any(all(word in note for word in words) for note in notes)


# --- what is always said --------------------------------------------------------------------------------------------


def test_every_role_is_said_or_that_it_was_not_found(infer: Infer) -> None:
    notes = infer("user_id,day,n,churn\nu1,x,3,0\nu2,y,4,1\nu3,x,5,1\n").notes
    assert told(notes, "The id is 'user_id'") and told(notes, "The label is 'churn'", "'1' means churned")
    assert told(notes, "No date of the rows was found", "as_of") and told(notes, "No end", "was found")
    notes = infer("n,m\n3,0\n4,1\n5,1\n").notes
    assert told(notes, "No id was found", "rows 1, 2, 3", "Set `id`")
    assert told(notes, "No label was found", "churn, left", "'m'", "Set `label` and `positive`")


# --- terms and ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        "u1,2026-10-05,3,0\nu2,2026-10-02,1,1\nu3,2026-10-03,1,0\n",  # everybody
        "u1,2026-10-05,3,0\nu2,,1,1\nu3,2026-10-03,1,0\n",  # those who stayed
    ],
)
def test_a_date_that_everybody_or_who_stayed_has_is_a_term(infer: Infer, rows: str) -> None:
    found = infer(f"user_id,current_period_end,logins,churn\n{rows}")
    assert found.schema.subscription.end is None
    assert found.schema.subscription.contract_end == "current_period_end"
    assert told(found.notes, "'current_period_end' is a term and no end of subscriptions")
    assert told(found.notes, "The end of the contract is 'current_period_end'")


@pytest.mark.parametrize(
    ("header", "cells", "unit"),
    [("contract_end_date", ("2027-01-01", ""), None), ("days_to_contract_end", ("3", "40"), "days"),
     ("months_until_renewal", ("1", "7"), "months")],
)  # fmt: skip
def test_the_end_of_a_contract_and_auto_renew_are_roles(
    infer: Infer, header: str, cells: tuple[str, str], unit: str | None
) -> None:
    one, two = cells
    schema = infer(f"id,{header},is_auto_renew,x\na,{one},yes,1.5\nb,{two},no,2\nc,{one},no,2\n").schema
    assert (schema.subscription.contract_end, schema.subscription.auto_renew) == (header, "is_auto_renew")
    assert "is_auto_renew" in schema.features and header not in schema.ignore
    assert (header in schema.features) is (unit is not None)
    assert unit is None or schema.features[header].unit == unit


def test_an_end_that_only_leavers_have_is_an_end(infer: Infer) -> None:
    found = infer("user_id,ended_on,logins,churn\nu1,,3,0\nu2,2025-10-02,1,1\nu3,,1,0\n")
    assert found.schema.subscription.end == "ended_on"


def test_rows_whose_label_and_end_contradict_each_other_are_named(infer: Infer, file: Path) -> None:
    schema = infer("user_id,ended_on,logins,churn\nu1,,3,0\nu2,2025-10-02,1,1\nu3,,1,0\n").schema
    file.write_text("user_id,ended_on,logins,churn\nu1,2025-01-02,3,0\nu2,2025-10-02,1,1\n")
    assert told(read_table(file, schema).notes, "1 row says stayed", "line 2")


# --- numbers --------------------------------------------------------------------------------------------------------


def test_thousands_dots_are_known_by_the_decimal_commas_of_another_column(infer: Infer, file: Path) -> None:
    found = infer("user_id;price;views;churn\na1;29,00;18.500;1\na2;4,99;49;0\na3;9,99;3.866;0\n")
    assert found.schema.features["price"].kind == found.schema.features["views"].kind == "number"
    assert values(read_table(file, found.schema)) == {"price": [29.0, 4.99, 9.99], "views": [18500.0, 49.0, 3866.0]}
    assert told(found.notes, "'views'", "1.234,5")


@pytest.mark.parametrize("cells, numbers", [
    (['"$2,851.47"', "$51.00", "$7"], [2851.47, 51.0, 7.0]), (["($56.79)", "$6", "$7"], [-56.79, 6.0, 7.0]),
    (["12.5%", "3%", "4 %"], [12.5, 3.0, 4.0]), (["49.00 EUR", "1.50 EUR", "2 EUR"], [49.0, 1.5, 2.0]),
    (['"1 234,50"', '"12,00"', "7"], [1234.5, 12.0, 7.0]), (["1'234.50", "2.5", "7"], [1234.5, 2.5, 7.0]),
    (["€83807.86", "€2", "€7.5"], [83807.86, 2.0, 7.5]), (['"1,234,567"', "8", "9"], [1234567.0, 8.0, 9.0]),
])  # fmt: skip
def test_money_per_cent_and_thousands_are_read_and_told(
    infer: Infer, file: Path, cells: list[str], numbers: list[float]
) -> None:
    rows = "".join(f"u{n},{cell},{n},{n % 2}\n" for n, cell in enumerate(cells))
    found = infer(f"user_id,amount,n,churn\n{rows}")
    assert found.schema.features["amount"].kind == "number" and told(found.notes, "'amount'", "read as 1234.5")
    table = read_table(file, found.schema)
    assert values(table)["amount"] == numbers and told(table.notes, "'amount'", "read as 1234.5")


def test_two_currencies_in_one_column_are_no_numbers(infer: Infer) -> None:
    found = infer("user_id,amount,n,churn\na,49 EUR,1,0\nb,49 USD,2,1\nc,7 EUR,3,0\n")
    assert found.schema.features["amount"].kind == "category"


def test_a_lone_typo_is_named_and_its_column_stays_a_number(infer: Infer, file: Path) -> None:
    found = infer("user_id,logins,churn\nu1,3,0\nu2,eleven,0\nu3,5,1\nu4,1,1\n")
    assert found.schema.features["logins"].kind == "number"
    assert told(found.notes, "'logins' holds numbers, but for 'eleven' in line 3", "category")
    with pytest.raises(InvalidTable, match="line 3, logins"):
        read_table(file, found.schema)


def test_a_leading_zero_makes_a_column_text(infer: Infer, file: Path) -> None:
    found = infer("user_id,postcode,n,churn\nu1,00501,1,0\nu2,08028,2,1\nu3,10115,3,0\n")
    assert values(read_table(file, found.schema))["postcode"] == ["00501", "08028", "10115"]
    assert told(found.notes, "'postcode' has leading zeros")


def test_words_for_missing_are_missing_in_numbers_and_in_yes_and_no_and_counted(infer: Infer, file: Path) -> None:
    found = infer("user_id,tickets,opt_in,churn\nu1,3,t,0\nu2,n/a,f,1\nu3,12,NULL,0\nu4,?,t,0\n")
    table = read_table(file, found.schema)
    assert values(table) == {"tickets": [3.0, None, 12.0, None], "opt_in": [1.0, 0.0, None, 1.0]}
    for notes in (found.notes, table.notes):
        assert told(notes, "'tickets': 2 cells", "'?', 'n/a'") and told(notes, "'opt_in': 1 cell", "NULL")


def test_words_for_missing_among_other_categories_are_kept_and_told(infer: Infer, file: Path) -> None:
    found = infer("user_id,tier,n,churn\nu1,gold,1,0\nu2,none,2,1\nu3,tin,3,0\nu4,gold,4,1\n")
    assert values(read_table(file, found.schema))["tier"] == ["gold", "none", "tin", "gold"]
    assert told(found.notes, "'tier' holds 'none'", "kept")


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["user_id", "kunden_id", "Subscription ID", "contract_no", "Kundennummer"])
@pytest.mark.parametrize("bad", ["", "u2"])
def test_a_blank_or_a_repeat_does_not_take_the_id_away(infer: Infer, name: str, bad: str) -> None:
    ids = ["u1", "u2", "u3", bad, "u5", "u6"]
    found = infer(f"{name},logins,churn\n" + "".join(f"{one},{n % 3},{n % 2}\n" for n, one in enumerate(ids)))
    assert found.schema.id == name
    assert told(found.notes, repr(name), "in line 5")


def test_a_number_of_its_own_in_every_row_is_no_feature(infer: Infer) -> None:
    rows = "".join(f"{n % 5},{n * 7 + 3},{n % 7},{n % 2}\n" for n in range(60))
    found = infer(f"customer_id,order_no,n,churn\n{rows}")
    assert "order_no" not in found.schema.features


# --- labels ---------------------------------------------------------------------------------------------------------


def test_blank_labels_leave_a_label(infer: Infer) -> None:
    found = infer("user_id,logins,churn,status\nu1,3,0,active\nu2,5,,canceled\nu3,4,1,paused\n")
    assert (found.schema.label, found.schema.positive) == ("churn", ("1",)) and "status" in found.schema.ignore
    assert told(found.notes, "1 row has no label")


def test_a_status_that_says_who_left_is_a_label(infer: Infer) -> None:
    found = infer("user_id,logins,status\nu1,3,active\nu2,5,canceled\nu3,4,paused\nu4,4,churned\n")
    assert (found.schema.label, set(found.schema.positive)) == ("status", {"canceled", "churned"})
    assert told(found.notes, "'active', 'paused' stayed")


def test_a_second_header_is_named_and_its_columns_stay_what_they_are(infer: Infer, file: Path) -> None:
    found = infer("user_id,tier,logins,churn\nu1,a,3,0\nuser_id,tier,logins,churn\nu3,b,4,1\n")
    assert found.schema.features["logins"].kind == "number" and found.schema.positive == ("1",)
    assert told(found.notes, "header", "line 3")
    with pytest.raises(InvalidTable, match="line 3, user_id: this line repeats the header"):
        read_table(file, found.schema)


# --- dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, cells", [
    ("renewed_on", ["20240903", "20240906", "20241001"]), ("seen_at", ["01/10/26 08:20 AM", "02/11/26 09:10 PM", ""]),
    ("paid_on", ["45538", "45541", "45538"]), ("ended_on", ["1748000000", "1748086400", "1748000000"]),
    ("created_at", ["1748000000000", "1748086400000", ""]), ("signup", ["03/04/2025", "05/06/2025", "03/04/2025"]),
    ("seen", ["Jan 12, 2026", "Feb 3, 2026", "Jan 12, 2026"]), ("d", ["20240903", "20240904", "20240905"]),
])  # fmt: skip
def test_dates_that_are_not_read_are_left_out_by_name(infer: Infer, name: str, cells: list[str]) -> None:
    rows = "".join(f'u{n},"{cell}",{n},{n % 2}\n' for n, cell in enumerate(cells))
    found = infer(f"user_id,{name},n,churn\n{rows}")
    assert name in found.schema.ignore and told(found.notes, "look like dates", name)


def test_one_bad_day_does_not_undo_a_column_of_dates(infer: Infer) -> None:
    rows = "".join(f"u{n},2025-03-{n + 1:02},{n},{n % 2}\n" for n in range(8))
    found = infer(f"user_id,signup,n,churn\n{rows}u9,2026-02-30,3,0\n")
    assert found.schema.subscription.start == "signup"
    assert told(found.notes, "'signup' holds dates, but for '2026-02-30' in line 10")


@pytest.mark.parametrize("word", ["No", "-", "never", "NULL"])
def test_words_for_no_date_are_blank(infer: Infer, file: Path, word: str) -> None:
    found = infer(f"user_id,cancelled_at,n,churn\na,{word},1,0\nb,2025-01-01,2,1\nc,{word},3,0\n")
    assert found.schema.subscription.end == "cancelled_at"
    assert read_table(file, found.schema).subscription["end"].null_count == 2


def test_days_first_with_dots_are_read_among_iso_dates(infer: Infer, file: Path) -> None:
    found = infer("user_id;start;seats;churn\nr1;28.02.2026;2;1\nr2;2026-04-08;2;1\nr3;2026-06-07;1;0\n")
    starts = read_table(file, found.schema).subscription["start"]
    assert starts.cast(pa.string()).to_pylist() == ["2026-02-28", "2026-04-08", "2026-06-07"]


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_yes_or_no_is_no_plan_and_a_unit_stands_at_the_end_of_a_name(infer: Infer) -> None:
    found = infer(
        "user_id,auto_plan,contract_type,Tickets (last 90 days),calls_per_lemon,churn\n"
        "a,yes,month,3,5,0\nb,no,year,4,6,1\nc,yes,month,5,7,0\n"
    )
    assert found.schema.subscription.plan == "contract_type"
    assert found.schema.features["Tickets (last 90 days)"].unit is None
    assert found.schema.features["calls_per_lemon"].unit is None


def test_a_row_without_its_date_is_named(infer: Infer) -> None:
    rows = "".join(f"u{n},2025-03-{n + 1:02},{n},{n % 2}\n" for n in range(8))
    found = infer(f"user_id,as_of,n,churn\n{rows}u9,,3,0\n")
    assert found.schema.as_of == "as_of" and "as_of" in found.refused
    assert told(found.notes, "'as_of' holds no date", "line 10")


def test_a_long_text_among_codes_is_named(infer: Infer) -> None:
    long = "x" * 300
    rows = "".join(f"u{n},{n % 3},{n},{n % 2}\n" for n in range(8))
    found = infer(f"user_id,account_type,n,churn\n{rows}u9,{long},3,0\n")
    assert told(found.notes, "'account_type' holds numbers, but for", "line 10")


# --- sentences ------------------------------------------------------------------------------------------------------


def test_two_features_never_have_one_name(infer: Infer) -> None:
    rows = "".join(f"u{n},{'ab'[n % 2]},{'xyz'[n % 3]},{n},{n % 2}\n" for n in range(8))
    schema = infer(f"user_id,Plan,plan,n,churn\n{rows}").schema
    assert [schema.feature_label(name) for name in schema.features] == ["Plan", "Plan (plan)", "N"]


def test_what_is_named_like_a_label_and_is_none_is_not_said_to_tell_the_outcome(infer: Infer) -> None:
    notes = infer("user_id,n,churn\n" + "".join(f"u{n},{n % 4},{'abcde'[n % 5]}\n" for n in range(30))).notes
    assert told(notes, "Left out, named like a label (set `label` and `positive`", ": churn.")
    assert not told(notes, "they tell the outcome")


def test_an_id_that_repeats_is_no_feature_and_the_reason_is_given(infer: Infer) -> None:
    found = infer("CustomerID,n,churn\n" + "".join(f"{100 + n // 3},{n % 4},{n % 2}\n" for n in range(30)))
    assert list(found.schema.features) == ["n"]
    assert told(found.notes, "No id was found", "'CustomerID' (10 different values)")
    assert told(found.notes, "Left out, ids", "repeat too often to name a customer: CustomerID")
