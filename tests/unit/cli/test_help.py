"""What a person reads first."""

import os
import re
import subprocess
import sys


def test_the_help_shows_whole_sentences_in_80_columns() -> None:
    """A cut sentence says nothing; groups of commands too."""
    for group, count in (([], 19), (["keys"], 4), (["config"], 1)):
        done = subprocess.run(
            [sys.executable, "-m", "refreshd", *group, "--help"],
            env={**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        listed = done.stdout.partition("Commands:")[2]
        assert "..." not in listed
        assert "…" not in listed
        lines = listed.strip("\n").splitlines()
        assert count <= len(lines)
        assert [] == [line for line in lines if not re.match(r"  [a-z]+ +[A-Z][^ ]* .*\.$", line) or len(line) > 80]
