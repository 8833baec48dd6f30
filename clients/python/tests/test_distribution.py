"""What is installed: typed, and in need of redis-py alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parents[1]


def test_importing_needs_neither_httpx_nor_requests() -> None:
    """They are loaded where their auth classes are."""
    code = "import sys, refreshd_client; print({'httpx', 'requests', 'refreshd'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=50, check=True
    )
    assert "set()" == done.stdout.strip()


def test_the_wheel_holds_the_package_and_its_types(tmp_path: Path) -> None:
    """py.typed, the licence, no tests."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=HERE, capture_output=True, timeout=50, check=True)
    [wheel] = tmp_path.glob("refreshd_client-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"refreshd_client/{path.name}" for path in (HERE / "refreshd_client").iterdir() if path.is_file()} == {
        name for name in names if name.startswith("refreshd_client/")
    }
    assert "refreshd_client/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    metadata = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert ["Requires-Dist: redis<9,>=5.2"] == [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
