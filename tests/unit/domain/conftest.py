"""Hypothesis without wall-clock deadlines (machines differ) and without a database in the checkout."""

from hypothesis import settings

settings.register_profile("domain", deadline=None, database=None, max_examples=40)
settings.load_profile("domain")
