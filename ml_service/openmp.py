"""Sets how OpenMP's threads wait for work, before xgboost is loaded."""

import os

# OpenMP reads this once, when xgboost is first loaded. By default its threads spin while they wait; on shared
# processors that takes time from threads with work, and a training takes up to three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
