"""What is set for the whole process."""

import subprocess
import sys

_CODE = """
import gc, sys
from refreshd.adapters.process import shorten_pauses
shorten_pauses()
print(sys.getswitchinterval() < 0.001, gc.get_freeze_count() > 1000, gc.isenabled())
"""


def test_imported_code_is_no_part_of_a_collection() -> None:
    """A full collection of everything that was imported would hold up every request for 60 ms; it stays switched on."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert "True True True" == done.stdout.strip()
