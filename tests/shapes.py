"""The shapes of the contract's answers, and the one body of every failure."""

from __future__ import annotations

import re
from typing import Any


class Maybe:
    """This, or null."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class OneOf:
    """One of these values."""

    def __init__(self, *values: Any) -> None:
        self.values = values


INT, FLOAT, TEXT, BOOL = int, float, str, bool
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
VERSION = re.compile(r"\d+\.\d+\.\d+")
PERCENT = re.compile(r"\d+%")
POINTS = re.compile(r"[+-]\d+\.\d%")
SIGNED = re.compile(r"[+-]\d+")
ACTIVITY = re.compile(r"Today|Yesterday|\d+ days ago")
USER_ID = re.compile(r"usr_\d+")
LEVEL = OneOf("High", "Medium", "Low")
SHARE = "a float in [0, 1]"


def fits(value: Any, shape: Any, at: str = "data") -> None:
    """Fail unless a JSON value has this shape; fields beyond those named are allowed."""
    if isinstance(shape, Maybe):
        if value is not None:
            fits(value, shape.shape, at)
    elif isinstance(shape, dict):
        assert isinstance(value, dict), f"{at}: {value!r} is no object"
        missing = set(shape) - set(value)
        assert not missing, f"{at}: {sorted(missing)} are missing"
        for name, inner in shape.items():
            fits(value[name], inner, f"{at}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{at}: {value!r} is no list"
        for k, each in enumerate(value):
            fits(each, shape[0], f"{at}[{k}]")
    else:
        _fits_plainly(value, shape, at)


def _fits_plainly(value: Any, shape: Any, at: str) -> None:
    if isinstance(shape, OneOf):
        assert value in shape.values, f"{at}: {value!r} is none of {shape.values}"
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str), f"{at}: {value!r} is no text"
        assert shape.fullmatch(value), f"{at}: {value!r} does not look like {shape.pattern}"
    elif shape == SHARE:
        assert type(value) is float, f"{at}: {value!r} is no float"
        assert 0 <= value <= 1, f"{at}: {value!r} is not in [0, 1]"
    elif isinstance(shape, type):
        assert type(value) is shape, f"{at}: {value!r} is no {shape.__name__}"
    else:
        assert value == shape, f"{at}: {value!r} is not {shape!r}"


PERSON = {"id": INT, "email": TEXT, "name": TEXT, "role": OneOf("viewer", "analyst", "admin")}
RUN = {"predictions_generated": INT, "average_probability": SHARE, "timestamp": STAMP}
BALANCED = {"threshold": SHARE, "precision": SHARE, "recall": SHARE, "f1_score": SHARE}
FIGURES = {"auc": SHARE, "precision": SHARE, "recall": SHARE, "f1_score": SHARE, "training_samples": INT}
CUSTOMER = {
    "id": INT,
    "user_id": USER_ID,
    "email": TEXT,
    "plan": OneOf("Premium 4K", "Standard", "Basic Ads"),
    "watch_time_hours": FLOAT,
    "subscription_age_months": INT,
    "device_count": INT,
    "last_login_days": INT,
    "payment_failures": INT,
    "last_activity": ACTIVITY,
    "tenure_months": INT,
    "churn": OneOf(0, 1),
    "created_at": STAMP,
    "updated_at": STAMP,
    "churn_probability": Maybe(SHARE),
    "prediction_date": Maybe(STAMP),
}
METRICS = {
    "churnRate": {"current": FLOAT, "previous": FLOAT, "change": POINTS},
    "predictedChurners": {
        "count": INT,
        "confidence": PERCENT,
        "change": SIGNED,
        "expected": FLOAT,
        "revenue_at_risk": FLOAT,
    },
    "modelAuc": {"score": SHARE, "status": TEXT, "version": VERSION},
}
HIGH_RISK = {
    "customers": [
        {
            "user_id": USER_ID,
            "plan": TEXT,
            "churn_probability": SHARE,
            "last_activity": ACTIVITY,
            "tenure_months": INT,
            "risk_level": LEVEL,
        }
    ],
    "pagination": {"page": INT, "limit": INT, "total": INT, "pages": INT},
}
RESULTS = {
    "predictions": [
        {
            "id": INT,
            "customer_id": USER_ID,
            "churn_probability": SHARE,
            "confidence": SHARE,
            "low_confidence": BOOL,
            "prediction_date": STAMP,
        }
    ],
    "total": INT,
    "timestamp": STAMP,
}
PERFORMANCE = {
    **FIGURES,
    "model_version": VERSION,
    "last_trained": STAMP,
    "threshold": SHARE,
    "prevalence": SHARE,
    "n": INT,
    "balanced": BALANCED,
}
STATUS = {
    "version": VERSION,
    "algorithm": "XGBoost",
    "status": TEXT,
    "auc_score": SHARE,
    "training_samples": INT,
    "features": INT,
    "last_updated": STAMP,
    "performance": {
        "improved": BOOL,
        "previous_auc": SHARE,
        "current_auc": SHARE,
        "improvement": re.compile(r"[+-]\d+\.\d\d \([+-]\d+\.\d%\)"),
    },
}
TRAINED = {"message": "Model training completed", "metrics": FIGURES}
JOB = {
    "id": INT,
    "kind": TEXT,
    "state": OneOf("queued", "running", "done", "failed", "cancelled"),
    "progress": FLOAT,
    "stage": Maybe(TEXT),
    "attempt": INT,
    "cancel_requested": BOOL,
    "created_at": STAMP,
    "started_at": Maybe(STAMP),
    "finished_at": Maybe(STAMP),
}
FAILURE = {"success": False, "message": TEXT, "error": {"code": TEXT, "request_id": TEXT}}
#: Texts that must never stand in an answer: traces, SQL, passwords.
LEAKS = re.compile(r"Traceback|File \"|sqlite3?\.|sqlalchemy|SELECT |INSERT INTO|password_hash|\$2b\$", re.IGNORECASE)


def is_failure(answer: Any, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """Fail unless an answer (of requests or of Flask's test client) is the one error body; return it."""
    body = answer.json() if callable(answer.json) else answer.get_json()
    text = answer.text
    assert status is None or answer.status_code == status, f"{answer.status_code} instead of {status}: {text[:500]}"
    assert answer.status_code >= 400
    fits(body, FAILURE, "body")
    assert answer.headers["X-Request-ID"] == body["error"]["request_id"]
    assert code is None or body["error"]["code"] == code, body
    assert not LEAKS.search(text), text[:500]
    return dict(body)
