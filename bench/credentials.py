"""Credentials to import, written as fast as lines can be formatted."""

from collections.abc import Callable
from pathlib import Path

ACCESS_PADDING = "a" * 985
REFRESH_PADDING = "r" * 180
HOUR = 3600.0


def write_grants(
    path: Path,
    count: int,
    *,
    client: str,
    label: str,
    expires_at: Callable[[int], float],
    lifetime: float = HOUR,
    login_at: float | None = None,
) -> None:
    """JSON Lines of dated grants. `label` begins each id and refresh token; the provider keeps it in what it returns."""
    login = "" if login_at is None else f',"login_at":{login_at:.3f}'
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            end = expires_at(number)
            name = f"{label}{number:07}"
            file.write(
                f'{{"id":"{name}","client":"{client}","refresh_token":"{name}.1.{REFRESH_PADDING}",'
                f'"access_token":"{name}.{ACCESS_PADDING}","token_type":"bearer","scope":"offline read",'
                f'"issued_at":{end - lifetime:.3f},"expires_at":{end:.3f}{login}}}\n'
            )
    path.chmod(0o600)
