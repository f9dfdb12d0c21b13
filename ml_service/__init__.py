"""The ML service: trains churn models, scores rows and gives the reasons."""

import ml_service.openmp  # noqa: F401 - before anything loads xgboost
