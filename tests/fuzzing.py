"""How long hypothesis searches: `FUZZ_EXAMPLES` in the environment are as many examples of each property."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def fuzzed(examples: int) -> settings:
    """Settings of a property that is tried with so many examples in the suite, the same ones in each run of it."""
    return settings(
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", examples)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
