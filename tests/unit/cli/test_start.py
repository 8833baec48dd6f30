"""What a command loads before it does anything: its start is most of its time."""

import subprocess
import sys

HEAVY = {"aiohttp", "apscheduler", "prometheus_client", "redis"}


def test_a_command_that_only_reads_the_store_loads_nothing_of_the_daemon() -> None:
    script = "import sys, refreshd.cli.app, refreshd.config, refreshd.wiring.store; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert not HEAVY & set(printed.stdout.split())
