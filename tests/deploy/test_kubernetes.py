"""The manifests render, agree with each other and with the daemon, and cannot put a known key into production."""

import shutil
import subprocess
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from refreshd.adapters.aesgcm_sealer import KeyRingFault, new_key_line, parse_key_ring
from refreshd.config import load

K8S = Path(__file__).parents[2] / "deploy" / "k8s"
CONFIG = K8S / "config.toml"

Manifest = dict[str, Any]  # as it comes from YAML


def test_the_kustomization_renders() -> None:
    """What `kubectl apply -k` would send: the pod's ConfigMap, Secret and image are those that were meant."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine; the other tests read the manifests themselves")
    done = subprocess.run([kubectl, "kustomize", str(K8S)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    rendered: dict[str, Manifest] = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    assert sorted(rendered) == ["ConfigMap", "Service", "StatefulSet"]
    assert rendered["ConfigMap"]["data"] == {"config.toml": CONFIG.read_text()}
    pod = rendered["StatefulSet"]["spec"]["template"]["spec"]
    assert _volume(pod, "config")["configMap"]["name"] == rendered["ConfigMap"]["metadata"]["name"]
    assert _volume(pod, "secrets")["secret"]["secretName"] == _read("secret.yaml")["metadata"]["name"]
    image, _, tag = pod["containers"][0]["image"].rpartition(":")
    assert image
    assert tag not in {"", "latest"}


def test_applying_the_kustomization_never_touches_the_secret() -> None:
    """Placeholders written over the real key ring would stop the daemon, and take the only copy of the key from the careless."""
    assert "secret.yaml" not in _read("kustomization.yaml")["resources"]
    assert "secretGenerator" not in _read("kustomization.yaml")


def test_no_placeholder_can_be_mistaken_for_a_key() -> None:
    """A key that stands in a public repository protects nothing, so the one in the example must be refused."""
    placeholders = _read("secret.yaml")["stringData"]
    with pytest.raises(KeyRingFault):
        parse_key_ring(placeholders["encryption.key"], source="secret.yaml")
    assert set(placeholders.values()) == {"REPLACE-ME"}


def test_the_configuration_loads_in_the_pods_environment(tmp_path: Path) -> None:
    """The variables are spelt as the loader spells them, and the probes' port is the one it will listen on."""
    environ = _environ()
    listen = environ["REFRESHD_HTTP__LISTEN"]
    settings = load(CONFIG, environ=environ | {"CREDENTIALS_DIRECTORY": str(_secrets(tmp_path))}, cwd=tmp_path).settings
    assert listen.rpartition(":")[0] == "0.0.0.0"
    assert _container()["ports"] == [{"name": "http", "containerPort": int(listen.rpartition(":")[2])}]
    assert list(settings.clients) == ["frameio"]


def test_a_drain_ends_before_the_kubelet_kills(tmp_path: Path) -> None:
    """A request that was sent has time to be answered and stored, and the daemon to end, before SIGKILL."""
    environ = _environ() | {"CREDENTIALS_DIRECTORY": str(_secrets(tmp_path))}
    scheduler = load(CONFIG, environ=environ, cwd=tmp_path).settings.scheduler
    kill_after = timedelta(seconds=_pod()["terminationGracePeriodSeconds"])
    assert scheduler.request_timeout + scheduler.commit_timeout < scheduler.drain_timeout < kill_after


def test_the_secret_holds_exactly_the_files_that_the_configuration_names() -> None:
    """Each relative file name is an entry of the Secret, mounted where $CREDENTIALS_DIRECTORY points."""
    config = tomllib.loads(CONFIG.read_text())
    named = {config["store"]["encryption_key_file"], config["clients"]["frameio"]["client_secret_file"]}
    assert set(_read("secret.yaml")["stringData"]) == named
    assert _mount("secrets")["mountPath"] == _environ()["CREDENTIALS_DIRECTORY"]


def test_at_most_one_daemon_owns_the_store() -> None:
    """Two daemons would spend one refresh token twice, and the provider would revoke the login."""
    stateful = _read("statefulset.yaml")
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert (stateful["kind"], stateful["spec"]["replicas"]) == ("StatefulSet", 1)
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert _mount(claim["metadata"]["name"])["mountPath"] == _environ()["STATE_DIRECTORY"]


def test_the_database_stays_private_to_the_daemon() -> None:
    """The kubelet adds group rights to every file of a volume, at each mount if told `Always`; the store refuses such a file."""
    assert _pod()["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_each_probe_asks_the_right_page() -> None:
    """Liveness never looks at the store: an outage there must not restart a daemon with answers still to be stored."""
    container = _container()
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {
        "startup": {"path": "/livez", "port": "http"},
        "liveness": {"path": "/livez", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


def test_the_service_finds_the_pod_also_while_it_is_not_ready() -> None:
    """Metrics matter most then."""
    service, stateful = _read("service.yaml"), _read("statefulset.yaml")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == stateful["spec"]["selector"]["matchLabels"] == labels
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


def test_the_pod_runs_without_privileges() -> None:
    """Not root, no capability, nothing writable but the state and /tmp, no cluster token, no variables from other Services."""
    pod, container = _pod(), _container()
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/lib/refreshd", "/tmp"}


def _read(name: str) -> Manifest:
    manifest: Manifest = yaml.safe_load((K8S / name).read_text())
    return manifest


def _pod() -> Manifest:
    pod: Manifest = _read("statefulset.yaml")["spec"]["template"]["spec"]
    return pod


def _container() -> Manifest:
    (container,) = _pod()["containers"]
    manifest: Manifest = container
    return manifest


def _volume(pod: Manifest, name: str) -> Manifest:
    volumes: dict[str, Manifest] = {volume["name"]: volume for volume in pod["volumes"]}
    return volumes[name]


def _mount(name: str) -> Manifest:
    mounts: dict[str, Manifest] = {mount["name"]: mount for mount in _container()["volumeMounts"]}
    return mounts[name]


def _environ() -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in _container()["env"]}


def _secrets(directory: Path) -> Path:
    """A Secret as it would be mounted, with a real key; readable by owner and group, as `defaultMode` says."""
    mode = _volume(_pod(), "secrets")["secret"]["defaultMode"]
    for name, text in {"encryption.key": new_key_line(), "frameio.secret": "a-client-secret"}.items():
        (directory / name).write_text(text)
        (directory / name).chmod(mode)
    return directory
