"""Hypothesis without wall-clock deadlines (machines differ) and without a database in the checkout.

A profile holds for tests that are defined after it is loaded, so the first conftest of all imports this.
"""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("refreshd", deadline=None, database=None, max_examples=40)
settings.load_profile("refreshd")

# `make mutate`: the same examples, but a mutant is killed by a failed property, never by a slow machine, and one failure will do.
settings.register_profile(
    "mutation",
    settings.get_profile("refreshd"),
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
