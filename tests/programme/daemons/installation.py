"""refreshd on the ledger provider: one directory, one prefix of one Redis, logins that can be made anew when they are lost.

Every token and secret begins with `MARK`, so that one search of a log finds any of them.
"""

import itertools
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from refreshd.demo.dialects import Verdict
from refreshd.demo.grants import Family, IssuedToken, Rules
from refreshd.demo.ledger import Ledger
from refreshd.demo.provider import LedgerProvider, ProviderThread
from tests.programme.daemons.processes import ForkServer, Process
from tests.programme.daemons.store_view import Row, rows, rows_after_death

MARK = "planted_"
BASIC, PKCE = "basic", "pkce"
SECRET = f"{MARK}secret:%+&/é"
LIFETIME = 9.0
_KEEP = 8  # of a family's tokens, or a long run would fill the memory
_SHORTEST_LIFE = 1.0
_COMMAND_SECONDS = 30.0
_SCOPE = "offline read"

SCHEDULER: Mapping[str, str | int] = {
    "scan_interval": "200ms",
    "refresh_before_expiry": "4s",
    "request_timeout": "5s",
    "settle_delay": "1s",
    "commit_timeout": "5s",
    "drain_timeout": "15s",
    "concurrency": 16,
}


def registrations() -> dict[str, str]:
    """Secret by client id: one that proves itself by Basic, one public with PKCE."""
    return {BASIC: SECRET, PKCE: ""}


def new_token() -> str:
    return MARK + secrets.token_urlsafe(32)


class MarkedLedger(Ledger):
    """Its tokens bear the mark, and a grace never brings an access token that has expired meanwhile.

    Lives of seconds, as here, can end within the grace; a real provider's last for an hour. Handed out with `expires_in` 0, a
    dead one would be shown for the least life that the daemon takes a token to have.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(registrations(), rules, new_token=new_token, keep=_KEEP)

    def _apply(self, verdict: Verdict, family: Family, token: IssuedToken, at: float) -> IssuedToken | None:
        granted = super()._apply(verdict, family, token, at)
        if granted is not None and granted.access_expires_at - at < _SHORTEST_LIFE:
            self._renew(family, granted, at)
        return granted


@dataclass(slots=True, kw_only=True)
class Installation:
    """`families`: the ledger's family by credential id, the present login of each. `logins`: whose each family ever was.

    `url`: a database in place of a SQLite file.
    """

    directory: Path
    server: ForkServer
    provider: ProviderThread
    redis_url: str
    scheduler: Mapping[str, str | int] = field(default_factory=dict)
    endpoint: str = ""
    grace: str = ""
    lifetime: float = LIFETIME
    store: Path | None = None
    url: str = ""
    in_flight: int = 16
    rate: int = 200
    families: dict[str, str] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # drawn from several threads

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write_config()
        if not (self.directory / "encryption.key").exists():
            self.command("keys", "new")

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    @property
    def database(self) -> Path:
        return (self.store or self.directory) / "refreshd.db"

    def write_config(self) -> None:
        """Write configuration and secret file anew; a running daemon keeps what it has."""
        lines = ["[scheduler]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in {**SCHEDULER, **self.scheduler}.items()]
        url = self.url or f"sqlite:///{self.database}"
        lines += ["[store]", f'url = "{url}"', 'encryption_key_file = "encryption.key"']
        lines += [f'spool_directory = "{self.directory / "spool"}"']
        lines += ["[redis]", f'url = "{self.redis_url}"', "[http]", 'listen = "127.0.0.1:0"']
        lines += ["[log]", 'level = "debug"']
        for name, secret in registrations().items():
            lines += [f"[clients.{name}]", 'provider = "generic"', f'client_id = "{name}"', f'scope = "{_SCOPE}"']
            lines += [f'token_endpoint = "{self.endpoint or self.provider.token_endpoint}"']
            lines += [f'access_token_lifetime = "{self.lifetime:g}s"', f'max_rate = "{self.rate}/s"']
            lines += [f"max_in_flight = {self.in_flight}"]
            if self.grace:
                lines += [f'reuse_grace = "{self.grace}"']
            if secret:
                write_private(self.directory / f"{name}.secret", secret)
                lines += [f'client_secret_file = "{name}.secret"']
        write_private(self.config, "\n".join([*lines, ""]))

    def log_in(self, names: Iterable[str], *, due: bool = False) -> None:
        """A person logs in, again or for the first time, for each of these credentials; `basic/…` and `pkce/…`.

        `due`: their access tokens are kept from the daemon, so that it must ask for one at once.
        """
        logins = self.provider.ask(lambda provider: [_login(provider, name) for name in names])
        hidden = {"access_token", "expires_in"} if due else set()
        path = self.directory / "logins.jsonl"
        given = [{name: value for name, value in response.items() if name not in hidden} for response, _ in logins]
        write_private(path, "\n".join(map(json.dumps, given)))
        self.command("import", str(path), "--replace")
        path.unlink()
        self.families |= {str(response["id"]): family for response, family in logins}
        self.logins |= {family: str(response["id"]) for response, family in logins}

    def command(self, *arguments: str) -> str:
        """Run one command. Raises RuntimeError with all it said, when its exit code is not 0."""
        log = self.directory / f"command-{arguments[0]}.log"
        log.unlink(missing_ok=True)
        process = self.server.start(["--config", str(self.config), *arguments], log=log)
        if not process.ended(_COMMAND_SECONDS):
            process.kill()
        code, text = process.end(), process.text.decode(errors="replace")
        if code:
            raise RuntimeError(f"{arguments}: exit {code}\n{text}")
        return text

    def daemon(
        self, *, environ: Mapping[str, str] | None = None, installed: bool = False, logs: Path | None = None
    ) -> Process:
        """`refreshd run`, with a log of its own, in the directory `logs` if given."""
        log = (logs or self.directory) / f"daemon-{next(self._numbers):05}.log"
        arguments = ["--config", str(self.config), "run"]
        return self.server.start(arguments, log=log, environ=environ, installed=installed)

    def rows(self) -> dict[str, Row]:
        return rows(self.database)

    def rows_after_death(self) -> dict[str, Row]:
        return rows_after_death(self.database, self.directory / "copy")

    def living(self) -> set[str]:
        """Credentials whose login lives at the provider."""
        families = self.provider.ask(lambda provider: {k: v.alive for k, v in provider.ledger.families.items()})
        return {name for name, family in self.families.items() if families[family]}

    def accepted(self, tokens: Mapping[str, Mapping[str, str]]) -> set[str]:
        """Those of the shown tokens that the provider's API accepts now."""
        values = {name: fields["access_token"] for name, fields in tokens.items()}
        return self.provider.ask(
            lambda provider: {
                name for name, value in values.items() if provider.ledger.accepts(value, at=provider.clock())
            }
        )

    def given(self) -> dict[str, str]:
        """The access token of each present login that the provider has answered at least once, by credential id."""
        tokens = self.provider.ask(
            lambda provider: {
                family.id: family.access_token for family in provider.ledger.families.values() if family.issued > 1
            }
        )
        return {name: tokens[family] for name, family in self.families.items() if family in tokens}


def names(count: int) -> list[str]:
    """That many credential ids, half of them Basic, half PKCE."""
    return [f"{(BASIC, PKCE)[number % 2]}/{number:04}" for number in range(count)]


def redis_client(url: str) -> redis.Redis:
    """Answers in strings, never retries, gives up after two seconds."""
    client: redis.Redis = redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0)
    )
    return client


def shown(client: redis.Redis, wanted: Sequence[str]) -> dict[str, dict[str, str]]:
    """What consumers can read now, by credential id: token hashes that hold an access token."""
    with client.pipeline(transaction=False) as pipe:
        for name in wanted:
            pipe.hgetall(f"refreshd:token:{name}")
        found: list[dict[str, str]] = pipe.execute()
    return {name: fields for name, fields in zip(wanted, found, strict=True) if "access_token" in fields}


def write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _login(provider: LedgerProvider, name: str) -> tuple[dict[str, object], str]:
    client = name.partition("/")[0]
    response = provider.log_in(client, scope=_SCOPE)
    family = provider.ledger.family_of(str(response["refresh_token"]))
    if family is None:
        raise RuntimeError("the ledger does not know its own token")
    return {**response, "id": name, "client": client}, family.id
