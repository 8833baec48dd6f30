"""The random decisions of one case. A seed and an index always decide the same."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
_INDEXES = 48  # bits kept free for the index below the seed


class Chance:
    """Three questions that are cheap to ask: a case asks fifty, and there are millions of cases."""

    __slots__ = ("_bits", "_random")

    def __init__(self, seed: int, index: int) -> None:
        source = Random((seed << _INDEXES) + index)
        self._random = source.random
        self._bits = source.getrandbits

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._random() * len(options))]

    def one_in(self, count: float) -> bool:
        return self._random() * count < 1

    def below(self, count: int) -> int:
        return int(self._random() * count)

    def shuffled(self, items: list[T]) -> list[T]:
        """The same items in another order, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = int(self._random() * (last + 1))
            items[last], items[other] = items[other], items[last]
        return items

    def token(self, prefix: str) -> str:
        """Text that no other case has, shaped as tokens are."""
        return f"{prefix}{self._bits(160):040x}"
