"""The ledger has one row for each customer of a run and no copies of it; `predictions` is a view of it again"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCORE = (
    "churn_probability, confidence, out_of_fold, reason_1, points_1, reason_2, points_2, reason_3, points_3"
)
SCORE_COLUMNS = """
    churn_probability FLOAT NOT NULL,
    confidence FLOAT NOT NULL,
    out_of_fold INTEGER NOT NULL,
    reason_1 INTEGER NOT NULL,
    points_1 FLOAT NOT NULL,
    reason_2 INTEGER NOT NULL,
    points_2 FLOAT NOT NULL,
    reason_3 INTEGER NOT NULL,
    points_3 FLOAT NOT NULL,
"""
LEDGER = f"""
CREATE TABLE ledger (
    run_id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,{SCORE_COLUMNS}
    monthly_price FLOAT,
    CONSTRAINT pk_ledger PRIMARY KEY (run_id, customer_id)
) WITHOUT ROWID
"""
OUTCOMES = """
CREATE TABLE outcomes (
    id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    churned INTEGER NOT NULL,
    known_at TEXT NOT NULL,
    CONSTRAINT pk_outcomes PRIMARY KEY (id),
    CONSTRAINT fk_outcomes_run_id_customer_id FOREIGN KEY(run_id, customer_id) REFERENCES ledger (run_id, customer_id)
)
"""
CHANGES = """
CREATE TABLE present_changes (
    run_id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    scored_run_id INTEGER,
    CONSTRAINT pk_present_changes PRIMARY KEY (run_id, customer_id),
    CONSTRAINT fk_present_changes_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id)
) WITHOUT ROWID
"""
RANKS = """
CREATE TABLE present_ranks (
    run_id INTEGER NOT NULL,
    churn_probability FLOAT NOT NULL,
    customer_id INTEGER NOT NULL,{copies}
    CONSTRAINT pk_present_ranks PRIMARY KEY (run_id, churn_probability DESC, customer_id){references}
) WITHOUT ROWID
"""
REFERENCES = ",\n    CONSTRAINT fk_present_ranks_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id)"
COPIES = "\n    prediction_id INTEGER NOT NULL,\n    monthly_price FLOAT,"
# What a score refers to stays as long as the score.
GUARDS = {
    "a_run_with_scores_stays": (
        "CREATE TRIGGER a_run_with_scores_stays BEFORE DELETE ON scoring_runs "
        "WHEN EXISTS (SELECT 1 FROM ledger WHERE run_id = OLD.id) "
        "BEGIN SELECT raise(ABORT, 'the run has scores'); END"
    ),
    "a_customer_with_scores_stays": (
        "CREATE TRIGGER a_customer_with_scores_stays BEFORE DELETE ON customers "
        "WHEN EXISTS (SELECT 1 FROM scoring_runs AS r JOIN ledger AS l ON l.run_id = r.id AND l.customer_id = OLD.id) "
        "BEGIN SELECT raise(ABORT, 'the customer has scores'); END"
    ),
}
#: Every run so far gets as many numbers as there are customers.
SHARES = """
UPDATE scoring_runs SET
    ids_after = (SELECT count(*) FROM scoring_runs AS r WHERE r.id < scoring_runs.id)
        * (SELECT coalesce(max(id), 0) FROM customers),
    ids_until = (SELECT count(*) FROM scoring_runs AS r WHERE r.id <= scoring_runs.id)
        * (SELECT coalesce(max(id), 0) FROM customers)
"""
# The price that a score was shown with is known of those that are shown.
FILL_LEDGER = f"""
INSERT INTO ledger (run_id, customer_id, {SCORE}, monthly_price)
SELECT p.run_id, p.customer_id, {", ".join(f"p.{name}" for name in SCORE.split(", "))}, s.monthly_price
FROM predictions AS p LEFT JOIN present_scores AS s
    ON s.run_id = (SELECT run_id FROM published_run) AND s.customer_id = p.customer_id AND s.prediction_id = p.id
ORDER BY p.run_id, p.customer_id
"""
FILL_CHANGES = """
INSERT INTO present_changes (run_id, customer_id, scored_run_id)
SELECT s.run_id, s.customer_id, p.run_id
FROM published_run AS d JOIN present_scores AS s ON s.run_id = d.run_id JOIN predictions AS p ON p.id = s.prediction_id
WHERE p.run_id <> s.run_id
UNION ALL
SELECT l.run_id, l.customer_id, NULL
FROM published_run AS d JOIN ledger AS l ON l.run_id = d.run_id
    LEFT JOIN present_scores AS s ON s.run_id = l.run_id AND s.customer_id = l.customer_id
WHERE s.customer_id IS NULL
"""
VIEW = f"""
CREATE VIEW predictions AS
SELECT r.ids_after + l.customer_id AS id, l.customer_id, {", ".join(f"l.{name}" for name in SCORE.split(", "))},
    r.started_at AS prediction_date, l.run_id
FROM ledger AS l JOIN scoring_runs AS r ON r.id = l.run_id WHERE r.state IN ('done', 'published')
"""
PREDICTIONS = f"""
CREATE TABLE predictions (
    id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,{SCORE_COLUMNS}
    CONSTRAINT pk_predictions PRIMARY KEY (id),
    CONSTRAINT fk_predictions_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id),
    CONSTRAINT fk_predictions_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id)
)
"""
SCORES = """
CREATE TABLE present_scores (
    run_id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    churn_probability FLOAT NOT NULL,
    prediction_id INTEGER NOT NULL,
    monthly_price FLOAT,
    CONSTRAINT pk_present_scores PRIMARY KEY (run_id, customer_id),
    CONSTRAINT fk_present_scores_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id)
) WITHOUT ROWID
"""
OLD_OUTCOMES = """
CREATE TABLE outcomes (
    id INTEGER NOT NULL,
    prediction_id INTEGER NOT NULL,
    churned INTEGER NOT NULL,
    known_at TEXT NOT NULL,
    CONSTRAINT pk_outcomes PRIMARY KEY (id),
    CONSTRAINT fk_outcomes_prediction_id FOREIGN KEY(prediction_id) REFERENCES predictions (id)
)
"""
SHOWN = """
FROM present_ranks AS k JOIN published_run AS d ON d.run_id = k.run_id
    LEFT JOIN present_changes AS x ON x.run_id = k.run_id AND x.customer_id = k.customer_id
    JOIN ledger AS l ON l.run_id = coalesce(x.scored_run_id, k.run_id) AND l.customer_id = k.customer_id
    JOIN scoring_runs AS r ON r.id = l.run_id
"""


def upgrade() -> None:
    for name in ("ids_after", "ids_until"):
        op.execute(f"ALTER TABLE scoring_runs ADD COLUMN {name} INTEGER DEFAULT '0' NOT NULL")
    op.execute(SHARES)
    for statement in (LEDGER, FILL_LEDGER, CHANGES, FILL_CHANGES):
        op.execute(statement)
    _anew(
        "outcomes",
        OUTCOMES,
        "SELECT o.id, p.run_id, p.customer_id, o.churned, o.known_at "
        "FROM old_outcomes AS o JOIN predictions AS p ON p.id = o.prediction_id",
    )
    op.execute("CREATE INDEX ix_outcomes_run_id_customer_id ON outcomes (run_id, customer_id)")
    _anew(
        "present_ranks",
        RANKS.format(copies="", references=""),
        "SELECT run_id, churn_probability, customer_id FROM old_present_ranks "
        "WHERE run_id IN (SELECT run_id FROM published_run) ORDER BY run_id, churn_probability DESC, customer_id",
    )
    op.execute("DROP TABLE present_scores")
    op.execute("DROP TABLE predictions")
    for name in ("first_prediction_id", "last_prediction_id"):
        op.execute(f"ALTER TABLE scoring_runs DROP COLUMN {name}")
    op.execute(VIEW)
    for guard in GUARDS.values():
        op.execute(guard)


def downgrade() -> None:
    for name in GUARDS:
        op.execute(f"DROP TRIGGER {name}")
    op.execute("DROP VIEW predictions")
    op.execute(PREDICTIONS)
    op.execute(
        f"INSERT INTO predictions (id, customer_id, run_id, {SCORE}) "
        f"SELECT r.ids_after + l.customer_id, l.customer_id, l.run_id, {SCORE} "
        "FROM scoring_runs AS r JOIN ledger AS l ON l.run_id = r.id ORDER BY r.id, l.customer_id"
    )
    op.execute("CREATE INDEX ix_predictions_customer_id ON predictions (customer_id, id)")
    _anew(
        "outcomes",
        OLD_OUTCOMES,
        "SELECT o.id, r.ids_after + o.customer_id, o.churned, o.known_at "
        "FROM old_outcomes AS o JOIN scoring_runs AS r ON r.id = o.run_id",
    )
    op.execute("CREATE INDEX ix_outcomes_prediction_id ON outcomes (prediction_id)")
    op.execute(SCORES)
    op.execute(
        "INSERT INTO present_scores (run_id, customer_id, churn_probability, prediction_id, monthly_price) "
        f"SELECT k.run_id, k.customer_id, k.churn_probability, r.ids_after + k.customer_id, l.monthly_price {SHOWN}"
        "ORDER BY k.run_id, k.customer_id"
    )
    _anew(
        "present_ranks",
        RANKS.format(copies=COPIES, references=REFERENCES),
        "SELECT run_id, churn_probability, customer_id, prediction_id, monthly_price FROM present_scores "
        "ORDER BY run_id, churn_probability DESC, customer_id",
    )
    op.execute("DROP TABLE present_changes")
    op.execute("DROP TABLE ledger")
    for name, which in (("first_prediction_id", "min"), ("last_prediction_id", "max")):
        op.execute(f"ALTER TABLE scoring_runs ADD COLUMN {name} INTEGER")
        op.execute(
            f"UPDATE scoring_runs SET {name} = (SELECT {which}(id) FROM predictions WHERE run_id = scoring_runs.id)"
        )
    for name in ("ids_after", "ids_until"):
        op.execute(f"ALTER TABLE scoring_runs DROP COLUMN {name}")


def _anew(name: str, definition: str, rows: str) -> None:
    """A table made again in another form, from rows of `old_<name>`."""
    op.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    op.execute(definition)
    op.execute(f"INSERT INTO {name} {rows}")
    op.execute(f"DROP TABLE old_{name}")
