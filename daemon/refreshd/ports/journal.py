"""Lines kept on this machine until some time after what they tell has been committed elsewhere."""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol


class Journal(Protocol):
    """All raise `OSError`. Called on one thread."""

    @property
    def inherited(self) -> Collection[str]:
        """The names of processes before us whose lines are all here."""
        ...

    def append(self, lines: Mapping[str, bytes]) -> None:
        """Have these on disk when it returns, by key. A key that was appended before is not written again."""
        ...

    def holds(self, key: str) -> bool:
        """Whether a line under this key is on disk and not settled yet."""
        ...

    def settle(self, keys: Collection[str]) -> None:
        """These are committed."""
        ...

    def renew(self) -> None:
        """All that is kept counts as committed just now, if it was."""
        ...

    def forget(self) -> None:
        """Let go of what was committed for long enough. For when the place of the commits is there and has what it should."""
        ...

    def lines(self) -> Iterator[bytes]:
        """All that is kept, oldest first; some may be torn."""
        ...
