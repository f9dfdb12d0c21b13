"""How the numbers of a file's columns are written.

Law: where two readings are possible, it is said.
"""

from __future__ import annotations

import pyarrow as pa

from shared.proposal.doubts import Said
from shared.tables import cells, file_notes
from shared.tables.columns import Between, FileColumns
from shared.tables.number_formats import NumberFormat, NumberShapes, number_formats, undecided


def formats_of(file: FileColumns, said: Said, between: Between) -> dict[str, NumberFormat]:
    """How the numbers of the columns that hold numbers are written; where two readings are possible, it is said."""
    shapes: dict[str, NumberShapes] = {}
    for name, column in zip(file.names, file.columns, strict=True):
        between()
        if pa.types.is_string(column.type):
            shapes[name] = NumberShapes()
            shapes[name].look(cells.without_missing_words(column, name, cells.CellProblems(1)))
    numbers = {n: s for n, s in shapes.items() if s.are_numbers}
    for name in (name for name, shape in numbers.items() if shape.contradicts):
        said.say(file_notes.written_in_two_ways(name))
    for name, mark in undecided(numbers, delimiter=file.delimiter).items():
        said.say(file_notes.undecided_mark(name, mark))
    return number_formats(numbers, delimiter=file.delimiter)
