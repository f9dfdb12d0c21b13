"""`python -m ml_service.score`: score a customer file with a saved model and give the reasons.

Law: the output holds all rows or is not written; no gateway and no database are needed.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ml_service.cli import atomic_write, check_writable, guarded
from ml_service.data.dataset import dates_of
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.year_levels import undated_rows
from ml_service.evaluation.fact_warnings import table_warnings
from ml_service.model.artefacts import MANIFEST
from ml_service.model.churn_model import ChurnModel
from shared.commands.printing import echo, write_data
from shared.contracts.api import REASON_NUMBERS, TOP_REASONS
from shared.errors import InvalidInput
from shared.plural import plural
from shared.schema.features import Schema, load_schema
from shared.tables.read import CustomerTable, read_table, row_keys

CHUNK_ROWS = 25_000
#: Spreadsheets read text that begins with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

EPILOG = """\
The file may be CSV or Parquet, with the columns of the model's schema; the label is ignored and may be absent. The
output has one row per row of the file, in the same order: the id (under its name in the schema, or `row`),
churn_probability, confidence, and for each of the three largest reasons reason_k (the feature), points_k (by how much
it changes the probability) and value_k (the value in this row). A model with a level for the time of year adds a last
column, time_of_year: by how much the row's date changes the probability. Rows that the model was trained on are scored
out of fold if the schema has an id and the training table had no dates. Values may be missing; if a feature was
complete in training, the command reports in how many rows it is missing now. Categories that the model does not know
are scored as missing; the command reports their column, values and count.

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
    command.add_argument("--model", required=True, type=Path, metavar="DIR", help="folder of the model version")
    command.add_argument("--data", required=True, type=Path, metavar="FILE", help="customers, as CSV or Parquet")
    command.add_argument("--out", required=True, metavar="FILE", help="CSV file to write; - for standard output")
    command.add_argument("--schema", metavar="FILE", help="schema of the file, if it differs from the model's")
    command.add_argument("--threads", type=int, default=2, metavar="N", help="threads of xgboost (default: 2)")
    return command


def safe_cell(text: str) -> str:
    """Quote text that a spreadsheet would read as a formula.

    >>> safe_cell("=1+1"), safe_cell("7590-VHVEG")
    ("'=1+1", '7590-VHVEG')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def header(id_name: str | None, model: ChurnModel) -> list[str]:
    """Names of the columns of the output."""
    reasons = [f"{what}_{k}" for k in REASON_NUMBERS for what in ("reason", "points", "value")]
    of_year = [] if model.time_of_year is None else ["time_of_year"]
    return [safe_cell(id_name or "row"), "churn_probability", "confidence", *reasons, *of_year]


def scored_rows(model: ChurnModel, table: CustomerTable) -> Iterator[list[Any]]:
    """Generate the rows of the output."""
    features = typed_columns(model.schema, table.features)
    # Without ids, the table holds row numbers instead, which are not keys.
    keys = pa.array(row_keys(table.ids)) if table.schema.id is not None else None
    dates = dates_of(table)
    for start in range(0, features.num_rows, CHUNK_ROWS):
        chunk = features.slice(start, CHUNK_ROWS)
        part = slice(start, start + CHUNK_ROWS)
        explained = model.explain(chunk, None if keys is None else keys[part], None if dates is None else dates[part])
        ids = table.ids.slice(start, CHUNK_ROWS).to_pylist()
        values = [chunk.column(i).to_pylist() for i in range(chunk.num_columns)]
        scores, points = explained.scores, explained.points
        for row, (order, parts) in enumerate(zip(points.order.tolist(), points.points.tolist(), strict=True)):
            cells: list[Any] = [safe_cell(ids[row]), float(scores.probability[row]), float(scores.confidence[row])]
            for feature, part in zip(order, parts, strict=True):
                cells += [safe_cell(model.schema.feature_names[feature]), round(part, 6), _value(values[feature][row])]
            cells += [""] * (3 * (TOP_REASONS - len(order)))
            yield cells if model.time_of_year is None else [*cells, round(float(explained.time_of_year[row]), 6)]


def _value(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _write(file: IO[str], model: ChurnModel, table: CustomerTable) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header(table.schema.id, model))
    writer.writerows(scored_rows(model, table))


def _as_complete(schema: Schema, of_model: Schema) -> Schema:
    """The schema of a file, with the features that the model's schema requires: a blank is then refused by its line."""
    required = {name for name, about in of_model.features.items() if not about.missing}
    features = {
        name: about.model_copy(update={"missing": about.missing and name not in required})
        for name, about in schema.features.items()
    }
    return schema.model_copy(update={"features": features})


def _score(options: argparse.Namespace) -> None:
    if not (options.model / MANIFEST).is_file():
        raise InvalidInput(f"{options.model} is not a model folder: it has no {MANIFEST}.")
    if options.threads < 1:
        raise InvalidInput("--threads must be at least 1.")
    if options.out != "-":
        check_writable(Path(options.out))
    model = ChurnModel.load(options.model, threads=options.threads)
    schema = _as_complete(load_schema(options.schema), model.schema) if options.schema else model.schema
    table = read_table(options.data, schema, label="ignored")
    told = table_warnings(model, typed_columns(model.schema, table.features))
    for note in (*table.notes, *told, *undated_rows(model.time_of_year, dates_of(table), len(table.ids))):
        echo(note, err=True)
    if options.out == "-":
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
            _write(file, model, table)
            file.seek(0)
            for line in file:
                write_data(line.encode())
    else:
        with atomic_write(Path(options.out)) as file:
            _write(file, model, table)
        echo(
            f"Scored {plural(table.features.num_rows, 'row')} with model {model.version}: {options.out}",
            err=True,
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    return guarded("score", lambda: _score(options))


if __name__ == "__main__":
    sys.exit(main())
