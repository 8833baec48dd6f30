"""A broken rule between keys, as the files of rules say it."""

from dataclasses import dataclass

from refreshd.config.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken rule, and the other keys that it is about: where one of those is faulty itself, the rule says nothing."""

    fault: Fault
    about: frozenset[str]
