"""The judge of refresh tokens: each one works once, and what it is presented twice for is on record.

Pure: no I/O, no clock, no chance of its own; instants are seconds handed in by the caller, tokens come from `new_token`.
Served over HTTP by `provider`, called in-process by simulations. What goes wrong on the way is in `faults`, not here.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import assert_never

import orjson

from refreshd.demo.dialects import Dialect, Reply, Verdict, refuse, refuse_client, refuse_request, revokes_chain
from refreshd.demo.grants import Family, Grace, IssuedToken, Presentation, Rules
from refreshd.demo.registrations import Registrations

__all__ = ["Dialect", "Family", "Grace", "IssuedToken", "Ledger", "Presentation", "Reply", "Rules", "Verdict"]


class Ledger:
    """`clients`: secret by client id, "" for a public client. Not thread-safe; every call is atomic by itself.

    `keep`: how many of a family's latest tokens stay in memory, None for all. A used token that was dropped is still
    recognised; unused ones and those within the grace are never dropped.
    """

    def __init__(
        self, clients: Mapping[str, str], rules: Rules, *, new_token: Callable[[], str], keep: int | None = None
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError("a family keeps at least its latest token")
        self.rules = rules
        self.families: dict[str, Family] = {}
        self.verdicts: Counter[Verdict] = Counter()
        self._clients = Registrations(clients)
        self._new_token = new_token
        self._keep = keep
        self._tokens: dict[str, IssuedToken] = {}
        self._dropped: dict[int, tuple[str, int]] = {}  # family and serial by the token's hash, a third of the memory
        self._access: dict[str, Family] = {}
        self._reused: dict[str, IssuedToken] = {}

    def log_in(self, client_id: str, *, at: float, scope: str = "offline read") -> dict[str, object]:
        """What a login callback returns (RFC 6749 §5.1), with `issued_at`. Raises KeyError for an unknown client."""
        if client_id not in self._clients:
            raise KeyError(client_id)
        family = Family(f"family-{len(self.families) + 1}", client_id, scope, at)
        self.families[family.id] = family
        return {**_answer(self._issue(family, at), scope, at), "issued_at": int(at)}

    def exchange(self, form: Mapping[str, str], authorization: str | None, *, at: float) -> Reply:
        """The token endpoint (RFC 6749 §6). `form` holds each parameter once, `authorization` the header's value."""
        client_id = self._clients.authenticate(form, authorization)
        if client_id is None:
            return refuse_client(self.rules.dialect)
        fault = self._malformed(form)
        return self._judge(client_id, form["refresh_token"], form.get("scope", ""), at) if fault is None else fault

    def present(self, client_id: str, refresh_token: str, *, at: float) -> Reply:
        """As `exchange`, for a caller in this process that is trusted to be `client_id`."""
        return self._judge(client_id, refresh_token, "", at)

    def family_of(self, refresh_token: str) -> Family | None:
        """The family of any refresh token ever issued."""
        token = self._find(refresh_token)
        return None if token is None else self.families[token.family]

    def accepts(self, access_token: str, *, at: float) -> bool:
        """An API's look at an access token."""
        return self.bearer(access_token, at=at) is not None

    def bearer(self, access_token: str, *, at: float) -> Family | None:
        """Whose living access token this is."""
        family = self._access.get(access_token)
        return family if family is not None and family.alive and at < family.access_expires_at else None

    def revoke(self, family_id: str, *, at: float) -> None:
        """A person withdrew consent. Raises KeyError for an unknown family; a dead one stays as it died."""
        _end(self.families[family_id], Verdict.REVOKED, at)

    def reuses(self) -> list[IssuedToken]:
        """Tokens that reached the grant check more than once, in that order; without those a provider let live (KEPT).

        The reason is in their presentations: a token asked for again after EXPIRED or REVOKED is listed too.
        """
        return list(self._reused.values())

    def set_secret(self, client_id: str, secret: str) -> None:
        """Register a client, or give it another secret; "" makes it public."""
        self._clients.set_secret(client_id, secret)

    def _malformed(self, form: Mapping[str, str]) -> Reply | None:
        if form.get("grant_type", "") != "refresh_token":
            error = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            return refuse_request(self.rules.dialect, error)
        if not form.get("refresh_token"):
            return refuse_request(self.rules.dialect, "invalid_request", "The refresh_token is missing.")
        family = self.family_of(form["refresh_token"])
        if family is not None and not set(form.get("scope", "").split()) <= set(family.scope.split()):
            return refuse_request(self.rules.dialect, "invalid_scope")  # never wider than granted; nothing is spent
        return None

    def _judge(self, client_id: str, value: str, scope: str, at: float) -> Reply:
        token = self._find(value)
        if token is None:
            self.verdicts[Verdict.UNKNOWN] += 1
            return refuse(self.rules.dialect, Verdict.UNKNOWN)
        family = self.families[token.family]
        verdict = self._verdict(family, token, client_id, at)
        self._record(family, token, Presentation(at, verdict, client_id))
        granted = self._apply(verdict, family, token, at)
        if granted is None:
            return refuse(self.rules.dialect, verdict)
        answer = _answer(granted, scope or family.scope, at)
        if verdict is Verdict.KEPT:
            del answer["refresh_token"]  # the old one goes on
        return Reply(status=200, body=orjson.dumps(answer))

    def _verdict(self, family: Family, token: IssuedToken, client_id: str, at: float) -> Verdict:
        """Decides only. A foreign client is told apart first, so that it can end nobody's login."""
        if client_id != family.client_id:
            return Verdict.FOREIGN_CLIENT
        if token.used_at is not None:
            forgiven = family.alive and token.successor in self._tokens and self._in_grace(token.used_at, at)
            return Verdict.REGRANTED if forgiven else Verdict.REUSED
        if family.died_because is Verdict.EXPIRED:
            return Verdict.EXPIRED
        if not family.alive:
            return Verdict.REVOKED
        if self._expired(family, token, at):
            return Verdict.EXPIRED
        return Verdict.ROTATED if self.rules.rotates else Verdict.KEPT

    def _in_grace(self, used_at: float, at: float) -> bool:
        return self.rules.grace is not Grace.NONE and at - used_at < self.rules.grace_seconds

    def _expired(self, family: Family, token: IssuedToken, at: float) -> bool:
        since = token.issued_at if self.rules.sliding else family.login_at
        return self.rules.refresh_lifetime is not None and at - since >= self.rules.refresh_lifetime

    def _record(self, family: Family, token: IssuedToken, presentation: Presentation) -> None:
        verdict, earlier = presentation.verdict, token.presentations
        self.verdicts[verdict] += 1
        family.verdicts[verdict] += 1
        again = bool(earlier) and earlier[-1].verdict is not Verdict.KEPT and verdict is not Verdict.KEPT
        if again or verdict is Verdict.REUSED:
            self._reused[token.value] = token
        earlier.append(presentation)
        if self._keep is not None and len(earlier) > max(self._keep, 2):
            del earlier[0]

    def _apply(self, verdict: Verdict, family: Family, token: IssuedToken, at: float) -> IssuedToken | None:
        """Carry the verdict out. Returns the token whose answer is due, None for a refusal."""
        match verdict:
            case Verdict.ROTATED:
                token.used_at = at
                successor = self._issue(family, at)
                token.successor = successor.value
                return successor
            case Verdict.REGRANTED:
                again = self.rules.grace is Grace.SAME
                return self._tokens[token.successor or ""] if again else self._issue(family, at)
            case Verdict.KEPT:
                self._renew(family, token, at)
                return token
            case Verdict.REUSED:
                if revokes_chain(self.rules.dialect):
                    _end(family, verdict, at)
            case Verdict.EXPIRED:
                if self._expired(family, family.tokens[-1], at):  # else a branch of the grace lives on
                    _end(family, verdict, at)
            case Verdict.UNKNOWN | Verdict.REVOKED | Verdict.FOREIGN_CLIENT:
                pass
            case _:
                assert_never(verdict)
        return None

    def _issue(self, family: Family, at: float) -> IssuedToken:
        token = IssuedToken(self._new_token(), family.id, family.issued, at)
        family.issued += 1
        family.tokens.append(token)
        self._tokens[token.value] = token
        self._renew(family, token, at)
        if self._keep is not None and len(family.tokens) > self._keep:
            self._drop(family, at)
        return token

    def _renew(self, family: Family, token: IssuedToken, at: float) -> None:
        """Strict rotation deletes the old access token in the same transaction (protocol: facts)."""
        self._access.pop(family.access_token, None)
        token.access_token = family.access_token = self._new_token()
        token.access_expires_at = family.access_expires_at = at + self.rules.access_lifetime
        self._access[family.access_token] = family

    def _drop(self, family: Family, at: float) -> None:
        """The oldest token that is spent for good; one goes for each that comes."""
        for index, token in enumerate(family.tokens[: -(self._keep or 1)]):
            if token.used_at is not None and not self._in_grace(token.used_at, at):
                del family.tokens[index], self._tokens[token.value]
                self._dropped[hash(token.value)] = family.id, token.serial
                return

    def _find(self, value: str) -> IssuedToken | None:
        """A dropped token comes back as evidence: its instants are gone, so the login's stand for them."""
        token = self._tokens.get(value) or self._reused.get(value)
        if token is None and (place := self._dropped.get(hash(value))) is not None:
            family_id, serial = place
            login_at = self.families[family_id].login_at
            return IssuedToken(value, family_id, serial, login_at, used_at=login_at)
        return token


def _end(family: Family, cause: Verdict, at: float) -> None:
    if family.alive:
        family.alive, family.died_because, family.died_at = False, cause, at


def _answer(token: IssuedToken, scope: str, at: float) -> dict[str, object]:
    return {
        "access_token": token.access_token,
        "expires_in": max(0, int(token.access_expires_at - at)),
        "refresh_token": token.value,
        "scope": scope,
        "token_type": "bearer",
    }
