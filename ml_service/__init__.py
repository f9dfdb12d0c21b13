"""The ML service: trains churn models, scores rows and says why.

Law: it knows no customer database, no jobs and no champion; every request names the version it wants.
"""

import ml_service.openmp  # noqa: F401 - before anything loads xgboost
