"""The words that people write in place of values: for what is missing, for no date, for totals and remarks.

Law: case, accents aside, and surrounding whitespace make no difference; nothing here looks at a column's other cells.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

#: Texts, in lower case, that mean "missing" in numbers, dates and labels; in a category they may be a value.
MISSING = frozenset((
    "", "?", "-", "--", "---", ".", "..", "...", "–", "—", "na", "n/a", "n.a.", "n. a.", "na.", "#n/a", "<na>",
    "nan", "nat", "null", "(null)", "<null>", "\\n", "none", "nil", "undefined", "(blank)", "(empty)", "missing",
    "unknown", "not known", "not available", "not applicable", "not set", "tbd", "(none)", "no data", "error",
    "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "k.a.", "k. a.", "keine angabe", "unbekannt",
    "(leer)", "inconnu", "(vide)", "n.c.", "s/d", "n/d", "n.d.", "sin dato", "sin datos", "non renseigné",
    "desconocido", "desconhecido", "sconosciuto", "onbekend",
))  # fmt: skip
#: Those that mean it in dates alone.
NO_DATE = MISSING | frozenset((
    "no", "never", "nein", "nie", "non", "jamais", "nunca", "não", "open", "ongoing", "present", "unlimited",
    "indefinite", "unbefristet", "0000-00-00", "0000-00-00 00:00:00", "00.00.0000", "00/00/0000",
))  # fmt: skip
#: Words that stand where a total stands for customers' ids.
TOTALS = frozenset((
    "total", "totals", "grand total", "subtotal", "sub-total", "sum", "average", "mean", "total general",
    "sous-total", "summe", "gesamt", "gesamtsumme", "zwischensumme", "insgesamt", "durchschnitt", "mittelwert",
    "suma", "total geral", "somme", "moyenne", "promedio", "media", "totale", "somma", "totaal",
))  # fmt: skip
#: A line drawn between the rows of a table.
RULE = r"^[-=*_]{2,}$"
#: A remark below a table, where nothing else stands in its line.
REMARK = (
    r"(?i)^(?:\*.*|©.*|\(?\d+ (?:rows?|records?|zeilen|lignes|filas|righe)\b.*"
    r"|(?:source|note|notes|generated|exported|created|report|as of|confidential|filters?|quelle|stand"
    r"|hinweis|anmerkung|bericht|fuente|nota|notas|généré|exporté|fonte|total|records|rows|end of)\b.*[\s:].*)$"
)


def is_one_of(texts: pa.Array, words: Collection[str]) -> pa.Array:
    """Whether each text, already trimmed, is one of some words in lower case; null where it is null."""
    found = pc.is_in(pc.utf8_lower(texts), pa.array(sorted(words)))
    return pc.if_else(pc.is_valid(texts), found, pa.scalar(None, pa.bool_()))


def is_total(texts: pa.Array) -> pa.Array:
    """Whether each text, already trimmed, stands before a total, or is a rule between rows; null where it is null."""
    return pc.or_(is_one_of(pc.utf8_rtrim(texts, ": "), TOTALS), pc.match_substring_regex(texts, RULE))
