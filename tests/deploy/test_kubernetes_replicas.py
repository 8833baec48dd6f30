"""The overlay for PostgreSQL: several pods, each with a volume for its spool, on a configuration that loads."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from refreshd.adapters.aesgcm_sealer import new_key_line
from refreshd.config import load

OVERLAY = Path(__file__).parents[2] / "deploy" / "k8s-postgresql"
BASE = OVERLAY.parent / "k8s"


def test_it_renders_over_the_plain_manifests() -> None:
    """The same pod with another configuration, several times."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine; the other tests read the files themselves")
    done = subprocess.run([kubectl, "kustomize", str(OVERLAY)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    rendered = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    assert rendered["ConfigMap"]["data"] == {"config.toml": (OVERLAY / "config.toml").read_text()}
    assert rendered["StatefulSet"]["spec"]["replicas"] == 3


def test_its_pods_keep_a_spool_of_their_own(tmp_path: Path) -> None:
    """On the volume that comes back with the pod; and the store is the one that several may share."""
    (tmp_path / "encryption.key").write_text(new_key_line())
    (tmp_path / "store.url").write_text("postgresql://refreshd:secret@db/refreshd?sslmode=verify-full")
    (tmp_path / "frameio.secret").write_text("a-client-secret")
    environ = {"STATE_DIRECTORY": "/var/lib/refreshd", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    result = load(OVERLAY / "config.toml", environ=environ, cwd=tmp_path)
    assert Path("/var/lib/refreshd/spool") == result.settings.store.spool_directory
    assert result.settings.store.url.startswith("postgresql://")
    overlay = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text())
    assert (["../k8s"], [{"name": "refreshd", "count": 3}]) == (overlay["resources"], overlay["replicas"])
    stateful = yaml.safe_load((BASE / "statefulset.yaml").read_text())
    assert stateful["spec"]["volumeClaimTemplates"]
