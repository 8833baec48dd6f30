"""Who was handed a token, in a file that only the store's owner reads."""

import json
import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

from refreshd.adapters.audit_log import AuditLog
from tests.fakes import START


def test_each_reading_is_one_line_beside_the_store(tmp_path: Path) -> None:
    """Id, user and instant in UTC; nothing of the token itself is ever handed to it."""
    log = AuditLog(tmp_path)
    log.token_read("team/a", by=1000, at=START)
    log.token_read('odd\n"id', by=0, at=START.astimezone(timezone(timedelta(hours=2))))
    lines = (tmp_path / "audit.log").read_text().splitlines()
    assert [
        {"timestamp": "2026-06-01T12:00:00Z", "event": "token.read", "id": "team/a", "uid": 1000},
        {"timestamp": "2026-06-01T12:00:00Z", "event": "token.read", "id": 'odd\n"id', "uid": 0},
    ] == [json.loads(line) for line in lines]


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """0600 under the laxest umask."""
    before = os.umask(0)
    try:
        AuditLog(tmp_path).token_read("a", by=1, at=START)
    finally:
        os.umask(before)
    assert 0o600 == stat.S_IMODE((tmp_path / "audit.log").stat().st_mode)


def test_earlier_lines_stay(tmp_path: Path) -> None:
    """Every command opens the log anew, and appends."""
    for uid in range(3):
        AuditLog(tmp_path).token_read("a", by=uid, at=datetime.now(START.tzinfo))
    assert [0, 1, 2] == [json.loads(line)["uid"] for line in (tmp_path / "audit.log").read_text().splitlines()]
