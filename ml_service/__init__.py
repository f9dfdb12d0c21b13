"""The ML service: trains churn models, scores rows and says why.

Law: it knows no customer database, no jobs and no champion; every request names the version it wants.
"""

import os

# OpenMP reads this once, when xgboost is first loaded. Its threads would wait by spinning otherwise, which on shared
# processors takes the time from those that have work: the same training then costs up to three times as much.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
