"""The proposal knows columns and values by the words that people use, in several languages, and asks where it can't."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.errors import InvalidTable
from shared.proposal.schema_inference import InferredSchema, infer_schema
from shared.tables.read import read_table

Infer = Callable[..., InferredSchema]
ROWS = 40


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.fixture
def infer(file: Path) -> Infer:
    """Infer from columns beside an id and a count; a column of fewer cells is repeated."""

    def of_columns(rows: int = ROWS, /, **columns: Sequence[Any]) -> InferredSchema:
        given = {"user_id": [f"u{k}" for k in range(rows)], "n": [k % 7 for k in range(rows)], **columns}
        lines = ["|".join(given)]
        lines += ["|".join(str(cells[k % len(cells)]) for cells in given.values()) for k in range(rows)]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return infer_schema(file)

    return of_columns


def told(found: InferredSchema, *words: str) -> bool:
    return any(all(word in note for word in words) for note in found.notes)


@pytest.mark.parametrize("name, values, positive", [
    ("Kündigung", ["Ja", "Ja", "Nein"], ["Ja"]), ("Résilié", ["oui", "oui", "non"], ["oui"]),
    ("Baja", ["sí", "sí", "no"], ["sí"]), ("cancelou", ["Sim", "Sim", "Não"], ["Sim"]),
    ("disdetta", ["sì", "sì", "no"], ["sì"]), ("opgezegd", ["ja", "ja", "nee"], ["ja"]),
    ("Churn?", ["True.", "True.", "False."], ["True."]), ("churn", [-1, 1, 1], ["1"]), ("Lapse", [1, 1, 0], ["1"]),
    ("has_left", ["t", "t", "f"], ["t"]), ("unsubscribed", [1, 1, 0], ["1"]), ("labels", [1, 1, 0], ["1"]),
    ("Churn", ["1 - Yes", "1 - Yes", "0 - No"], ["1 - Yes"]), ("Churn", ["Leave", "Leave", "Stay"], ["Leave"]),
    ("Churn", ["No", "no", "Yes", "YES"], ["YES", "Yes"]), ("Target", ["Graduate", "Dropout", "Enrolled"], ["Dropout"]),
    ("Kundenstatus", ["aktiv", "ruhend", "gekündigt"], ["gekündigt"]), ("Statut", ["Actif", "Résilié"], ["Résilié"]),
    ("dado_de_baja", ["si", "si", "no"], ["si"]), ("cancelled_subscription", [1, 1, 0], ["1"]),
    ("policy_status", ["In force", "Lapsed", "Surrendered"], ["Lapsed", "Surrendered"]),
])  # fmt: skip
def test_a_label_is_known_in_other_words(infer: Infer, name: str, values: list[Any], positive: list[str]) -> None:
    found = infer(**{name: values})
    assert (found.schema.label, sorted(found.schema.positive)) == (name, positive)
    assert not told(found, "rarer value")


@pytest.mark.parametrize("about", ["churn_reason", "Churn Category", "churn_risk"])
def test_what_is_about_churn_is_no_label_where_a_status_is(infer: Infer, about: str) -> None:
    found = infer(**{about: ["price", "moved", "", ""], "status": ["left", "left", "active", "active"]})
    assert found.schema.label == "status" and about not in found.schema.features


def test_columns_that_repeat_the_label_in_their_name_tell_the_outcome(infer: Infer) -> None:
    found = infer(Attrition_Flag=["Existing", "Attrited"], Bayes_Attrition_Flag_Card_1=[0.1, 0.9, 0.2, 0.7, 0.3])
    assert told(found, "tell the outcome", "Bayes_Attrition_Flag_Card_1")


def test_a_mark_at_leavers_alone_is_no_feature_and_is_asked_about(infer: Infer) -> None:
    found = infer(cancelled=["x", "", ""])
    assert found.schema.label is None and "cancelled" not in found.schema.features
    assert told(found, "'cancelled' holds 'x' or nothing", "write a value for those who stayed")


@pytest.mark.parametrize(
    "name, values", [("is_active", [1, 0]), ("Subscriber", ["YES", "NO"]), ("renewed", ["Y", "N"])]
)
def test_a_column_that_says_who_stays_is_a_question(infer: Infer, name: str, values: list[Any]) -> None:
    found = infer(a=["x", "y"], b=[1, 2], c=["p", "q"], d=[3, 4], e=["r", "s"], **{name: values})
    assert found.schema.label is None and told(found, "No label", f"Perhaps '{name}' says who stays")


@pytest.mark.parametrize("name", [
    "Código de cliente", "N° client", "Nº abonado", "id_cliente", "Vertragsnummer", "Matrikelnummer", "msno", "klantnummer",
])  # fmt: skip
def test_an_id_is_known_in_other_words(file: Path, name: str) -> None:
    file.write_text(f"{name};n;churn\n" + "".join(f"{700 + 3 * k};{k % 5};{k % 2}\n" for k in range(30)))
    assert infer_schema(file).schema.id == name


def test_a_first_column_of_codes_is_an_id_and_to_be_checked(file: Path) -> None:
    file.write_text("hash,n,churn\n" + "".join(f"a{k:04}f,{k % 5},{k % 2}\n" for k in range(30)))
    found = infer_schema(file)
    assert found.schema.id == "hash" and told(found, "'hash'", "comes first", "check this")


def test_a_word_that_ends_in_id_is_none_and_a_number_of_another_thing_is_no_feature(infer: Infer, file: Path) -> None:
    file.write_text("paid,n,churn\n" + "".join(f"{k * 17},{k % 5},{k % 2}\n" for k in range(30)))
    found = infer_schema(file).schema
    assert found.id is None and found.features["paid"].kind == "number"
    found = infer(last_invoice_no=[9000 + 13 * k for k in range(ROWS)], Rechnungsnr=[5 * k for k in range(ROWS)]).schema
    assert {"last_invoice_no", "Rechnungsnr"} <= set(found.ignore)


@pytest.mark.parametrize("name, cells", [
    ("begin", ["1. Februar 2026", "15. März 2025"]), ("inscription", ["1er février 2026", "7 août 2024"]),
    ("alta", ["1 de febrero de 2026", "7 de agosto de 2024"]), ("seen", ["Thu, 01 Jan 2026 10:00:00 GMT", "Fri Jan 2 2026"]),
    ("seen", ["2026-01-01 10:00:00 +0000 UTC", "2025-02-01 10:00:00 +0000 UTC"]), ("made", ["20260105T101010Z", "20250105T101010Z"]),
    ("last_login", ["45123.52", "45301.01"]), ("fecha_alta", ["45123", "45301"]), ("Anmeldedatum", ["45123", "45301"]),
    ("created", ["1748000000.5", "1748086400.25"]), ("event_ms", ["1748000000123", "1748086400456"]),
    ("last_seen_at", ["1748000000", "0", "1748086400"]), ("cohort_month", ["202601", "202512"]),
    ("last_complaint", ["none so far", "2026-01-05", "2025-03-01", "none so far", "none so far"]),
])  # fmt: skip
def test_dates_in_other_forms_are_left_out_by_name(infer: Infer, name: str, cells: list[str]) -> None:
    found = infer(**{name: cells})
    assert name in found.schema.ignore and told(found, "look like dates", name)


@pytest.mark.parametrize("cells, days, written", [
    (["2026/02/01", "2025/12/9"], ["2026-02-01", "2025-12-09"], "Y/M/D"),
    (["2026-2-1", "2025-12-19"], ["2026-02-01", "2025-12-19"], "Y-M-D"),
    (["31/12/2025 14:05", "03/04/2025 9:00"], ["2025-12-31", "2025-04-03"], "D/M/Y"),
    (["31.12.2025 14:05:10", "03.04.2025 9:00:00"], ["2025-12-31", "2025-04-03"], "D.M.Y"),
])  # fmt: skip
def test_dates_without_doubt_are_read_and_told(
    infer: Infer, file: Path, cells: list[str], days: list[str], written: str
) -> None:
    found = infer(2, start_date=cells)
    table = read_table(file, found.schema)
    assert table.subscription["start"].cast(pa.string()).to_pylist() == days
    assert told(found, "'start_date'", written) and any(written in note for note in table.notes)


@pytest.mark.parametrize("name, cells", [
    ("last_month_minutes", [20500, 43000, 59000]), ("amount_paid", [37000, 45000, 51000]), ("birth_year", [1960, 1999]),
    ("bytes_sent", [1400000000, 1900000000]), ("population", [19990101, 20009999, 20567890]),
])  # fmt: skip
def test_large_numbers_are_no_dates(infer: Infer, name: str, cells: list[int]) -> None:
    assert infer(**{name: cells}).schema.features[name].kind == "number"


@pytest.mark.parametrize("cells, numbers", [
    (["1,00,000", "12,34,567", "9,99,000.50"], [100000, 1234567, 999000.5]), (["12.50-", "7.00", "3-"], [-12.5, 7, -3]),
    (["(1.234,50) €", "12,00 €"], [-1234.5, 12]), (["Rs. 499", "Rs 1,499"], [499, 1499]), (["R$ 29,90", "R$ 7"], [29.9, 7]),
    (["€12.50", "7 EUR", "€9"], [12.5, 7, 9]), (["₹1,49,999", "₹99.5"], [149999, 99.5]), (["-5%", "(3.5%)"], [-5, -3.5]),
])  # fmt: skip
def test_numbers_are_read_in_other_forms_and_told(
    infer: Infer, file: Path, cells: list[str], numbers: list[float]
) -> None:
    found = infer(len(cells), amount=cells)
    table = read_table(file, found.schema)
    assert table.features["amount"].to_pylist() == numbers
    assert told(found, "'amount'", "read as 1234.5") and any("'amount'" in note for note in table.notes)


def test_a_mark_that_may_be_either_sign_is_told(infer: Infer) -> None:
    found = infer(views=["18.500", "49.100", "3.866"])
    assert found.schema.features["views"].kind == "number" and told(found, "'views'", "thousands sign", "18500")


def test_numbers_in_two_ways_or_with_words_or_letters_are_told_with_their_cells(infer: Infer) -> None:
    found = infer(fee=["€12.50", "$7", "€9.00"], followers=["1.2k", "3k", "2M"], seats=[5, 7, "unlimited"])
    assert told(found, "'fee'", "two currencies") and told(found, "'followers'", "letters behind them")
    assert told(found, "'seats' holds texts among its numbers", "'unlimited' in line 4")


@pytest.mark.parametrize(
    "word", ["\\N", "(null)", "(blank)", "#DIV/0!", "k.A.", "unbekannt", "s/d", "Error", "nUlL", "—", "TBD"]
)
def test_more_words_for_missing_are_missing_numbers_and_counted(infer: Infer, file: Path, word: str) -> None:
    found = infer(tickets=[3, word, 5, 1], opt_in=["Y", "N", word, "Y"])
    assert {found.schema.features[name].kind for name in ("tickets", "opt_in")} == {"number"}
    table = read_table(file, found.schema)
    assert table.features["tickets"].null_count == table.features["opt_in"].null_count == ROWS // 4
    assert told(found, "'tickets': 10 cells count as missing", repr(word))


@pytest.mark.parametrize("ever", ["9999-12-31", "31.12.9999", "2999-12-31", "2099-12-31", "active", "open"])
def test_for_ever_is_no_end(infer: Infer, file: Path, ever: str) -> None:
    other = "30.04.2025" if "." in ever else "2025-04-30"
    found = infer(end_date=[other, ever, ever], status=["cancelled", "active", "active"])
    assert found.schema.subscription.end == "end_date" or (ever == "active" and "end_date" in found.schema.ignore)
    if found.schema.subscription.end:
        assert read_table(file, found.schema).subscription["end"].null_count == ROWS - 14
        assert told(found, "'end_date': 26 cells count as missing", repr(ever))


@pytest.mark.parametrize(
    "last", ["Total||24|3", "Summe:||24|3", "Source: the CRM|||", "(12 rows affected)|||", "----|----|----|----"]
)
def test_totals_and_remarks_are_named_by_line_and_refused(file: Path, last: str) -> None:
    rows = "".join(f"u{k}|a|{k % 5}|{k % 2}\n" for k in range(12))
    file.write_text(f"user_id|tier|hours|churn\n{rows}{last}\n")
    found = infer_schema(file)
    assert told(found, "no customer", "line 14") and found.schema.positive == ("1",)
    with pytest.raises(InvalidTable, match=r"line 14, user_id: .*remove"):
        read_table(file, found.schema)


def test_a_line_for_spreadsheets_before_the_header_is_refused_with_what_to_do(file: Path) -> None:
    file.write_text("sep=;\nuser_id;n\nu1;3\n")
    with pytest.raises(InvalidTable, match=r"sep=.*remove it"):
        infer_schema(file)


def test_a_file_of_blank_lines_alone_has_no_rows(infer: Infer, file: Path) -> None:
    schema = infer(m=[1, 2, 3]).schema
    file.write_text("user_id|n|m\n||\n||\n")
    with pytest.raises(InvalidTable, match="no rows"):
        read_table(file, schema)


@pytest.mark.parametrize("name", ["start_date", "as_of"])
def test_days_in_the_future_are_named_as_the_import_refuses_them(infer: Infer, file: Path, name: str) -> None:
    found = infer(10, **{name: [f"2024-01-{k + 1:02}" for k in range(9)] + ["2998-01-01"]})
    assert told(found, f"'{name}' holds days in the future: '2998-01-01' in line 11") and name in found.refused
    with pytest.raises(InvalidTable, match=f"line 11, {name}: 2998-01-01 lies in the future"):
        read_table(file, found.schema)


def test_a_header_again_does_not_hide_how_few_different_numbers_are_written(infer: Infer, file: Path) -> None:
    found = infer(6, share=["12%", "n/a"], fee=["€5", "€5"])
    text = file.read_text()
    file.write_text(text + text.splitlines()[0].upper() + "\n")
    with pytest.raises(InvalidTable) as caught:
        read_table(file, found.schema)
    assert {detail["row"] for detail in caught.value.details} == {8}


@pytest.mark.parametrize("name", ["Gekündigt am", "ausgetreten_am", "Kündigungsdatum"])
def test_an_end_is_known_in_german(infer: Infer, name: str) -> None:
    found = infer(Beginn=["2024-01-05", "2024-03-01"], **{name: ["2025-04-30", "", "", ""]})
    assert found.schema.subscription.end == name
