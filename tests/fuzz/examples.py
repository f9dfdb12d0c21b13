"""How many examples hypothesis tries: `make fuzz` asks for more of them by HYPOTHESIS_TIMES."""

import os

TIMES = int(os.environ.get("HYPOTHESIS_TIMES", "1"))


def examples(number: int) -> int:
    """Return the number of examples, times what the environment asks for."""
    return number * TIMES
