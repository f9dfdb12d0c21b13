"""How OpenMP's threads wait for work.

Law: said before xgboost is loaded, by whatever is imported of this package first: OpenMP reads it once.
"""

import os

# OpenMP reads this once, when xgboost is first loaded. Its threads would wait by spinning otherwise, which on shared
# processors takes the time from those that have work: the same training then costs up to three times as much.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
