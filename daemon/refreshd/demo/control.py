"""The side door of the ledger provider: mint logins, read the ledger, cause trouble. Only for servers that tests own.

Bodies are JSON objects (`notation`); what cannot be read is answered 400 with `error` in words.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from aiohttp import web

from refreshd.demo.faults import Fault, Faults, Latency, Storm
from refreshd.demo.grants import Family, Rules
from refreshd.demo.ledger import Ledger
from refreshd.demo.notation import (
    Fields,
    NewLogins,
    Revocation,
    Share,
    StormOrder,
    Trouble,
    Unreadable,
    read,
    read_fault,
)

Answer = Callable[[Fields], object]
_MOST_LOGINS = 100_000


class Control:
    """Routes under `/control`: POST logins, faults, rules, revoke; GET ledger."""

    def __init__(self, ledger: Ledger, faults: Faults, *, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._faults = faults
        self._clock = clock

    def register(self, router: web.UrlDispatcher) -> None:
        posts: dict[str, Answer] = {
            "logins": self._logins,
            "faults": self._trouble,
            "rules": self._rules,
            "revoke": self._revoke,
        }
        for name, answer in posts.items():
            router.add_post(f"/control/{name}", partial(_answer, answer))
        router.add_get("/control/ledger", self._report)

    def _logins(self, values: Fields) -> object:
        wanted = read(NewLogins, values)
        if not 0 < wanted.count <= _MOST_LOGINS:
            raise Unreadable(f"count lies between 1 and {_MOST_LOGINS}")
        try:
            return [
                self._ledger.log_in(wanted.client_id, at=self._clock(), scope=wanted.scope) for _ in range(wanted.count)
            ]
        except KeyError as exc:
            raise Unreadable(f"there is no client {wanted.client_id!r}") from exc

    def _trouble(self, values: Fields) -> object:
        """Reads everything before it changes anything."""
        trouble = read(Trouble, values)
        script = [None if one is None else read_fault(one) for one in trouble.script or ()]
        storm = None if trouble.storm is None else self._storm(read(StormOrder, trouble.storm))
        mix = None if trouble.mix is None else [_share(one) for one in trouble.mix]
        latency = None if trouble.latency is None else read(Latency, trouble.latency)
        Faults().mix(mix or ())  # the shares add up, or nothing below happens
        if trouble.clear:
            self._faults.clear()
        if mix is not None:
            self._faults.mix(mix)
        if storm is not None:
            self._faults.storm(storm)
        if latency is not None:
            self._faults.latency = latency
        self._faults.script(*script)
        return {"taken": self._faults.taken}

    def _storm(self, order: StormOrder) -> Storm:
        until = None if order.seconds is None else self._clock() + order.seconds
        return Storm(fault=read_fault(order.fault), count=order.count, until=until, client_id=order.client_id)

    def _rules(self, values: Fields) -> object:
        """Rules not named stay as they are; an empty object only asks."""
        self._ledger.rules = read(Rules, {**asdict(self._ledger.rules), **values})
        return asdict(self._ledger.rules)

    def _revoke(self, values: Fields) -> object:
        family_id = read(Revocation, values).family
        if family_id not in self._ledger.families:
            raise Unreadable(f"there is no family {family_id!r}")
        self._ledger.revoke(family_id, at=self._clock())
        return _shown(self._ledger.families[family_id])

    async def _report(self, _request: web.Request) -> web.Response:
        reuses = self._ledger.reuses()
        return web.json_response(
            {
                "verdicts": self._ledger.verdicts,
                "faults": self._faults.taken,
                "reused": [{"family": token.family, "serial": token.serial, "token": token.value} for token in reuses],
                "families": [_shown(family) for family in self._ledger.families.values()],
            }
        )


async def _answer(answer: Answer, request: web.Request) -> web.Response:
    try:
        values = json.loads(await request.read() or b"{}")
        if not isinstance(values, Mapping):
            raise Unreadable("the body is not a JSON object")
        return web.json_response(answer(values))
    except ValueError as exc:  # Unreadable, or no JSON at all
        return web.json_response({"error": str(exc)}, status=400)


def _share(values: Fields) -> tuple[float, Fault]:
    share = read(Share, values)
    return share.rate, read_fault(share.fault)


def _shown(family: Family) -> dict[str, object]:
    """A family in counts, with the refresh token that is its latest."""
    latest = family.tokens[-1]
    return {
        "id": family.id,
        "client_id": family.client_id,
        "scope": family.scope,
        "alive": family.alive,
        "died_because": family.died_because,
        "died_at": family.died_at,
        "login_at": family.login_at,
        "issued": family.issued,
        "verdicts": family.verdicts,
        "refresh_token": latest.value,
        "access_token": family.access_token,
        "access_expires_at": family.access_expires_at,
    }
