"""Keys that name a file: what they point to is found, and for `<key>_file` read."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from refreshd.config.addresses import has_password
from refreshd.config.faults import SECRET_KEYS, Fault, fault_at, join
from refreshd.config.keys import tables
from refreshd.config.places import Places
from refreshd.config.reading import Text, UnreadableError, read
from refreshd.config.untyped import FromFile, Raw

_TRUSTED = frozenset({"ca_file", "sentinel_ca_file"})
_OWN = frozenset({"cert_file", "key_file", "sentinel_cert_file", "sentinel_key_file"})  # of a TLS client
_MUST_EXIST = _TRUSTED | _OWN  # the key ring may still have to be made, by `refreshd keys new`
_PATH_KEYS = _MUST_EXIST | {"encryption_key_file"}  # keys whose value is a path, not the content
_URL_KEYS = frozenset({"url", "proxy"})
_UNREAD = FromFile("unread")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was noticed on the way. `sources` says for each path which file its value came from."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)


def exposed_secrets(table: Raw, file: Path) -> list[Fault]:
    """A fault for each secret in the table of a configuration file that others can read."""
    remedy = f"a secret in a file that other users can read; run: chmod 600 {shlex.quote(str(file))}"
    return [
        fault_at(join(path, key), value, remedy)
        for path, inner in tables(table)
        for key, value in inner.items()
        if isinstance(value, str) and value and _is_secret(key, value)
    ]


def resolve_files(table: Raw, places: Places, config: Path | None) -> Findings:
    """Replaces in place each `<key>_file` by `<key>` with the content, and each path by an absolute one.

    What cannot be read leaves a stand-in, so that the key is not also called missing.
    """
    findings = Findings()
    for path, inner in tables(table):
        for key, value in list(inner.items()):
            if not key.endswith("_file"):
                continue
            at = join(path, key)
            file = places.file(value, beside=config) if isinstance(value, str) and value else None
            if key not in _PATH_KEYS:
                inner[key.removesuffix("_file")] = _content(at, inner.pop(key), file, findings)
            elif file:
                inner[key] = str(file)
                if key in _MUST_EXIST and (content := _read(at, value, file, findings)):
                    _judge_tls(at, key, file, content, findings)
    return findings


def _judge_tls(at: str, key: str, file: Path, content: Text, findings: Findings) -> None:
    """What a TLS library would say only when the first connection is made."""
    wanted = "PRIVATE KEY" if key.endswith("key_file") else "CERTIFICATE"
    if key in _TRUSTED and not _certifies(content.text):
        message = f"{file} holds no certificates: a file in PEM format is wanted, with BEGIN CERTIFICATE lines"
        findings.faults.append(fault_at(at, str(file), message))
    elif key in _OWN and not re.search(f"-----BEGIN [A-Z ]*{wanted}-----", content.text):
        message = f"{file} holds no {wanted.lower()}: a file in PEM format is wanted, with a BEGIN {wanted} line"
        findings.faults.append(fault_at(at, str(file), message))
    elif key in _OWN and re.search(r"BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED", content.text):
        findings.faults.append(
            fault_at(at, str(file), f"{file} is encrypted, and there is nobody to ask for its passphrase")
        )
    if wanted == "PRIVATE KEY" and content.is_open_to_all:
        findings.warnings.append(f"{at}: other users can read the key; run: chmod 600 {shlex.quote(str(file))}")


def _content(at: str, value: object, file: Path | None, findings: Findings) -> FromFile:
    if file is None:
        findings.faults.append(fault_at(at, value, "must be a file name"))
        return _UNREAD
    path = at.removesuffix("_file")
    findings.sources[path] = f"from {file}"
    content = _read(at, value, file, findings)
    if content is None:
        return _UNREAD
    if content.is_open_to_all and _is_secret(path.rpartition(".")[2], content.text):
        findings.warnings.append(f"{at}: other users can read the secret; run: chmod 600 {shlex.quote(str(file))}")
    return FromFile(content.text.removesuffix("\n").removesuffix("\r"))


def _read(at: str, value: object, file: Path, findings: Findings) -> Text | None:
    try:
        return read(file)
    except FileNotFoundError:
        findings.faults.append(fault_at(at, value, f"there is no file {file}"))
    except UnreadableError as exc:
        findings.faults.append(fault_at(at, value, f"{file} {exc}"))
    return None


def _certifies(text: str) -> bool:
    """Whether a TLS library can trust what stands there."""
    import ssl  # noqa: PLC0415 - few configurations name such a file

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _is_secret(key: str, value: str) -> bool:
    return key in SECRET_KEYS or (key in _URL_KEYS and has_password(value))
