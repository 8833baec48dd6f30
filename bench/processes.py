"""What the operating system says of a process: CPU time with all its threads, memory. Linux only."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME = 11  # counted from the field after the command's name, which may hold spaces


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads so far; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _TICKS


def peak_mebibytes(pid: int) -> float:
    """The most memory that a process ever had resident (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def machine() -> str:
    """The machine in a few words that name no place and nobody."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    kernel = ".".join(os.uname().release.split(".")[:2])
    return f"{os.cpu_count()} x {model}, {int(memory.split()[1]) / 1048576:.0f} GiB, Linux {kernel}"


def load_average() -> str:
    """Over the last minute: what else the machine is doing. Well below the number of cores is quiet."""
    return f"{os.getloadavg()[0]:.1f}"
