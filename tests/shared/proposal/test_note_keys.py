"""Each note of a proposal is about a key of the schema, whose line can be named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.proposal.schema_inference import InferredSchema, infer_schema
from shared.schema.toml import line_of


@pytest.fixture
def proposal(tmp_path: Path) -> InferredSchema:
    """For a table with a cell that is no number, a column of one value and one that repeats another."""
    drawn = random.Random(1)
    rows = ["user_id,calls,tenure,same,twice,churned_on,churn"]
    for number in range(100):
        left, calls = number % 4 == 0, "many" if number == 7 else drawn.randint(0, 9)
        end = f"2026-01-{number % 28 + 1:02}" if left else ""
        rows.append(f"u{number},{calls},{number % 30},AT,{number % 30},{end},{int(left)}")
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    return infer_schema(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "note, key, line",
    [
        ("The id is", "id", 'id = "user_id"'),
        ("The label is", "label", 'label = "churn"'),
        ("The end of the subscription is", "subscription.end", 'end = "churned_on"'),
        ("'calls' holds numbers, but for", "features.calls", '[features."calls"]'),
        ("'tenure' is taken to be in months", "features.tenure", '[features."tenure"]'),
        ("Left out, always the same: same.", "ignore", 'ignore = ["same"]'),
        ("'twice' equals 'tenure'", "ignore", 'ignore = ["same"]'),
        ("No date of the rows was found", "as_of", None),
    ],
)
def test_a_note_is_about_the_key_that_changes_it(
    proposal: InferredSchema, note: str, key: str, line: str | None
) -> None:
    about = [each for text, each in zip(proposal.notes, proposal.keys, strict=True) if text.startswith(note)]
    text = proposal.to_toml()
    number = line_of(text, key)
    assert about == [key]
    assert (None if number is None else text.splitlines()[number - 1]) == line


def test_a_key_is_looked_for_in_its_own_section() -> None:
    text = 'name = "x"\n[features.end]\nkind = "number"\n[subscription]\nend = "gone"\n'
    assert [line_of(text, key) for key in ("subscription.end", "features.end", "end", "kind")] == [5, 2, None, None]
