"""`python -m ml_service.score`: score a customer file with a saved model, with the reasons.

Law: needs no gateway and no database; writes all rows or no file.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ml_service.cli import check_writable, guarded, written_whole
from ml_service.data.feature_matrix import typed_columns
from ml_service.evaluation.blanking import missing_counts, missing_warnings
from ml_service.model.artefacts import MANIFEST
from ml_service.model.churn_model import ChurnModel
from shared.contracts.api import TOP_REASONS
from shared.errors import InvalidInput
from shared.schema.features import load_schema
from shared.tables.read import CustomerTable, read_table, row_keys

CHUNK_ROWS = 25_000
#: A spreadsheet takes a text that begins so for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

EPILOG = """\
The file may be CSV or Parquet. Its columns are those of the model's schema; the label may be absent and is not looked
at. The output holds, row by row in the file's order: the id (named as in the schema, or `row`), churn_probability,
confidence, and for the three largest reasons reason_k (the feature), points_k (its change of the probability) and
value_k (the row's value). Rows that the model was trained on are scored out of fold where the schema has an id and the
table had no dates. A value may be missing; where training had every value of a feature, the command says how many rows
lack it here.

example:
  python -m ml_service.score --model models/2.4.1 --data customers.csv --out scores.csv
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m ml_service.score",
        description="Score a customer file with a saved model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--model", required=True, type=Path, metavar="DIR", help="folder of a model version")
    command.add_argument("--data", required=True, type=Path, metavar="FILE", help="customers, CSV or Parquet")
    command.add_argument("--out", required=True, metavar="FILE", help="CSV to write; - for standard output")
    command.add_argument("--schema", metavar="FILE", help="schema of the file, where it differs from the model's")
    command.add_argument("--threads", type=int, default=2, metavar="N", help="threads of xgboost (default 2)")
    return command


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> safe_cell("=1+1"), safe_cell("7590-VHVEG")
    ("'=1+1", '7590-VHVEG')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def header(id_name: str | None) -> list[str]:
    """Names of the output's columns."""
    reasons = [f"{what}_{k}" for k in range(1, TOP_REASONS + 1) for what in ("reason", "points", "value")]
    return [safe_cell(id_name or "row"), "churn_probability", "confidence", *reasons]


def scored_rows(model: ChurnModel, table: CustomerTable) -> Iterator[list[Any]]:
    """The output's rows, chunk by chunk."""
    features = typed_columns(model.schema, table.features)
    # Row numbers stand in for ids where there are none; they are nobody's key.
    keys = pa.array(row_keys(table.ids)) if table.schema.id is not None else None
    for start in range(0, features.num_rows, CHUNK_ROWS):
        chunk = features.slice(start, CHUNK_ROWS)
        explained = model.explain(chunk, None if keys is None else keys.slice(start, CHUNK_ROWS))
        ids = table.ids.slice(start, CHUNK_ROWS).to_pylist()
        values = [chunk.column(i).to_pylist() for i in range(chunk.num_columns)]
        scores, points = explained.scores, explained.points
        for row, (order, parts) in enumerate(zip(points.order.tolist(), points.points.tolist(), strict=True)):
            cells: list[Any] = [safe_cell(ids[row]), float(scores.probability[row]), float(scores.confidence[row])]
            for feature, part in zip(order, parts, strict=True):
                cells += [safe_cell(model.schema.feature_names[feature]), round(part, 6), _value(values[feature][row])]
            yield cells + [""] * (3 * (TOP_REASONS - len(order)))


def _value(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _write(file: IO[str], model: ChurnModel, table: CustomerTable) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header(table.schema.id))
    writer.writerows(scored_rows(model, table))


def _score(options: argparse.Namespace) -> None:
    if not (options.model / MANIFEST).is_file():
        raise InvalidInput(f"{options.model} is no model folder: it has no {MANIFEST}.")
    if options.threads < 1:
        raise InvalidInput("--threads: at least 1 is needed.")
    if options.out != "-":
        check_writable(Path(options.out))
    model = ChurnModel.load(options.model, threads=options.threads)
    schema = load_schema(options.schema) if options.schema else model.schema
    table = read_table(options.data, schema, label="ignored")
    missing = missing_counts(model, typed_columns(model.schema, table.features))
    for note in (*table.notes, *missing_warnings(missing, table.features.num_rows)):
        print(note, file=sys.stderr)
    if options.out == "-":
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
            _write(file, model, table)
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout)
    else:
        with written_whole(Path(options.out)) as file:
            _write(file, model, table)
        print(f"{table.features.num_rows:,} rows scored with model {model.version}: {options.out}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = parser().parse_args(arguments)
    return guarded("score", lambda: _score(options))


if __name__ == "__main__":
    sys.exit(main())
