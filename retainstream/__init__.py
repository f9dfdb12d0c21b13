"""The Python face: hands on the estimator of the ML service, and holds no logic."""

from ml_service.face.estimator import ChurnModel

__all__ = ["ChurnModel"]
