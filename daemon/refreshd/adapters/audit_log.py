"""Who was handed a token by `refreshd token`: one JSON line each, beside the store."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

NAME = "audit.log"


class AuditLog:
    """Appends to `audit.log` in the directory of this machine's state, readable by the store's owner alone."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    def token_read(self, credential_id: str, *, by: int, at: datetime) -> None:
        entry = {
            "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "event": "token.read",
            "id": credential_id,
            "uid": by,
        }
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
