"""Finding what stands twice in a file of a million entries without holding them."""

from array import array
from itertools import pairwise


class Seen:
    """Which of very many keys stand twice, in sixteen megabytes a million."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, *keys: object) -> None:
        self._hashes.extend(hash(key) for key in keys)

    def twice(self) -> frozenset[int]:
        """Hashes that came more than once: of equal keys, and once in a lifetime of others."""
        ordered = sorted(self._hashes)
        return frozenset(one for one, other in pairwise(ordered) if one == other)
