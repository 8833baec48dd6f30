"""A real OAuth 2.0 authorization server (oidc-provider under node) as a test component.

The protocol side is `oidc/server.mjs`; this module starts it, stops it by the pid it started, and speaks to its side door.
"""

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.components.ending import end

FaultMode = Literal["reply", "hang", "reset", "slow", "lost", "late", "truncate"]

SECRETS: Mapping[str, str] = {
    "conf": "conf-secret-0123456789",
    "post": "post-secret-0123456789",
    "svc": "svc-secret-0123456789",
}
"""Secrets at start: `conf` uses client_secret_basic, `post` client_secret_post, a third client, `pub`, has none.

`svc` has the grant client_credentials and no other.
"""

_SERVER = Path(__file__).parent / "oidc" / "server.mjs"
_OWN_NODES = Path(__file__).parent / "node" / "node_modules"
"""What `setup` installs where the system's node is too old; npm of Debian 12 does not link it into `.bin`."""
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_CONTROL_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A refresh token issued without a browser."""

    subject: str
    grant_id: str
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the token endpoint instead of an ordinary answer.

    `reply` (status, headers, body), `hang` and `reset` never reach the provider; `slow` waits `ms` before it; `lost`, `late`
    (by `ms`) and `truncate` let it rotate and spoil the answer. Without `client` it meets every client, without `count` it
    lasts until the next call of `OidcServer.fault`.
    """

    mode: FaultMode
    count: int | None = None
    client: str | None = None
    ms: int | None = None
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: str | None = None

    def wire(self) -> dict[str, Any]:
        """The fields that are set, as the side door wants them."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStats:
    """Token requests of one client."""

    requests: int
    in_flight: int
    max_inflight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What the token endpoint saw since the start or the last `forget`.

    `by_error` counts every answer but 200, faults included; `refused` only the provider's own 4xx. `unanswered` requests
    ended without a complete answer. `presented_twice` counts refresh tokens presented more than once, whatever became of
    the request; `presented_twice_accepted_check` those whose grant was judged more than once.
    """

    token_requests: int
    ok: int
    err: int
    unanswered: int
    faulted: int
    rotated: int
    in_flight: int
    max_inflight: int
    presented: int
    presented_twice: int
    presented_twice_accepted_check: int
    by_error: Mapping[str, int]
    refused: Mapping[str, int]
    by_client: Mapping[str, ClientStats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """One arrival of a refresh token at the token endpoint; times in Unix seconds.

    `status` and `error` are what the server decided, `None` while undecided. `answered_at` is when the whole answer was
    handed to the kernel, `None` if it never was; the client may still not have read it.
    """

    at: float
    fault: FaultMode | None
    reached_grant_check: bool
    status: int | None
    error: str | None
    answered_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """One refresh token of a grant; `token` is the start of its SHA-256, see `fingerprint`.

    `delivered_at` is when the answer that carried it was complete, `None` if that answer was lost or the token was minted.
    """

    token: str
    issued_at: float
    expires_at: float
    delivered_at: float | None
    presentations: tuple[Presentation, ...]

    @property
    def presented_at(self) -> tuple[float, ...]:
        """When it was presented, in Unix seconds."""
        return tuple(one.at for one in self.presentations)

    @property
    def answered(self) -> bool:
        """Whether it was presented and every presentation got its whole answer."""
        return bool(self.presentations) and all(one.answered_at is not None for one in self.presentations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One login: its refresh tokens in the order of issue. Alive means that the newest would still be honoured."""

    grant_id: str
    alive: bool
    tokens: tuple[IssuedToken, ...]


class OidcServer:
    """The server as a process: a context manager, on an ephemeral port unless one is given. Lengths in seconds."""

    def __init__(
        self,
        *,
        access_token_ttl: int = 20,
        refresh_token_ttl: int = 3600,
        rotate: bool = True,
        latency_ms: int = 0,
        redirect_uri: str | None = None,
        port: int = 0,
    ) -> None:
        """Nothing starts before `start` or `with`."""
        self._settings = {
            "PORT": str(port),
            "AT_TTL": str(access_token_ttl),
            "RT_TTL": str(refresh_token_ttl),
            "ROTATE": "1" if rotate else "0",
            "LATENCY_MS": str(latency_ms),
            "STDIN_OWNER": "1",
        }
        if redirect_uri is not None:
            self._settings["REDIRECT_URI"] = redirect_uri
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._streams = ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def token_endpoint(self) -> str:
        """Where refresh tokens are exchanged."""
        return f"{self.url}/token"

    @property
    def authorization_endpoint(self) -> str:
        """Where a login starts; any login and password will do."""
        return f"{self.url}/auth"

    @property
    def revocation_endpoint(self) -> str:
        """RFC 7009."""
        return f"{self.url}/token/revocation"

    @property
    def userinfo_endpoint(self) -> str:
        """Answers 200 to a live access token of scope `openid`, 401 to any other."""
        return f"{self.url}/me"

    @property
    def pid(self) -> int:
        """The node process."""
        if self._process is None:
            raise RuntimeError("the authorization server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start node and wait until it accepts connections; raises RuntimeError with its own words if it does not."""
        self._errors = self._streams.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - `stop` closes it
        self._process = subprocess.Popen(
            [node(), str(_SERVER)],
            env={**os.environ, **self._settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                self._streams.enter_context(stream)
        line = self._first_line(self._process)
        if not line.startswith("READY "):
            errors = self.errors()
            self.stop()
            raise RuntimeError(f"no authorization server (tests/components/setup installs it): {errors or line}")
        self.url = line.removeprefix("READY ").strip()

    def stop(self) -> None:
        """End the process that `start` started; nothing when it is not running."""
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, within=_STOP_SECONDS)
        self._streams.close()
        self._errors = None

    def errors(self) -> str:
        """What the server wrote to its standard error: empty unless the server itself failed."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()

    def mint(
        self, client: str = "conf", n: int = 1, *, scope: str = "offline_access read", ttl: int | None = None
    ) -> list[Minted]:
        """Issue `n` refresh tokens, one grant each; `ttl` in seconds shortens the life of these, not of their successors."""
        wish = {"client": client, "n": n, "scope": scope, "ttl": ttl}
        return [
            Minted(subject=one["sub"], grant_id=one["grantId"], refresh_token=one["refresh_token"])
            for one in self._control("mint", wish)
        ]

    def revoke_grant(self, grant_id: str) -> None:
        """End a grant and its tokens, as an administrator or a changed password does."""
        self._control("revoke_grant", {"grantId": grant_id})

    def fault(self, *faults: Fault) -> None:
        """Replace the list of faults; the first that matches a request's client is taken. None given: all is well."""
        self._control("fault", [one.wire() for one in faults])

    def latency(self, ms: int) -> None:
        """Delay every token request from now on: half before the provider acts, half after."""
        self._control("latency", {"ms": ms})

    def set_secret(self, client: str, secret: str) -> None:
        """Replace a client's secret: the old one is refused from the next request on."""
        self._control("secret", {"client": client, "secret": secret})

    def forget(self) -> None:
        """Zero the counts and empty the ledger; grants live on, but those minted before no longer appear in it."""
        self._control("forget", {})

    def stats(self) -> Stats:
        """Counts since the start or the last `forget`."""
        answer = self._control("stats")
        by_client = {name: ClientStats(**counts) for name, counts in answer.pop("by_client").items()}
        return Stats(**answer, by_client=by_client)

    def ledger(self) -> dict[str, Grant]:
        """Every grant since the start or the last `forget`, by grant id."""
        return {grant_id: _grant(grant_id, entry) for grant_id, entry in self._control("ledger").items()}

    def _control(self, name: str, wish: dict[str, Any] | Sequence[Any] | None = None) -> Any:
        data = None if wish is None else json.dumps(wish).encode()
        request = Request(f"{self.url}/_t/{name}", data=data, headers={"content-type": "application/json"})
        try:
            with urlopen(request, timeout=_CONTROL_SECONDS) as response:
                return json.load(response)
        except HTTPError as refusal:
            with refusal:
                raise ValueError(refusal.read().decode()) from refusal

    @staticmethod
    def _first_line(process: subprocess.Popen[str]) -> str:
        if process.stdout is None:
            raise RuntimeError("the authorization server's standard output is not a pipe")
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        return process.stdout.readline() if ready else ""


def node() -> str:
    """The node that runs the test components: the system's, or our own where that is too old."""
    return str(next(_OWN_NODES.glob("node-*/bin/node"), "node"))


def _grant(grant_id: str, entry: dict[str, Any]) -> Grant:
    return Grant(grant_id=grant_id, alive=entry["alive"], tokens=tuple(_issued(one) for one in entry["tokens"]))


def _issued(entry: dict[str, Any]) -> IssuedToken:
    return IssuedToken(
        token=entry["token"],
        issued_at=entry["issued_at"],
        expires_at=entry["expires_at"],
        delivered_at=entry["delivered_at"],
        presentations=tuple(Presentation(**one) for one in entry["presentations"]),
    )
