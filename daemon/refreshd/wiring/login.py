"""The parts of one login, opened in order and closed in reverse. It runs beside a daemon, and writes to the same store."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from refreshd import __version__
from refreshd.adapters.callback.pasted import PastedRedirects
from refreshd.adapters.callback.server import CallbackServer
from refreshd.adapters.oauth.connections import Connections
from refreshd.adapters.oauth.token_endpoint import HttpTokenEndpoint
from refreshd.adapters.oauth.userinfo import HttpUserinfo
from refreshd.adapters.sql.logins import SqlLogins
from refreshd.adapters.sql.thread import StoreThread
from refreshd.config.settings import ClientSettings, Settings
from refreshd.domain.authorization import LoginProfile, requested_scope
from refreshd.domain.credential import ClientName, CredentialId
from refreshd.domain.refusal import Refusal
from refreshd.ports.redirects import Redirects
from refreshd.service.login import Login, LoginPlan, LoginTold
from refreshd.service.right_person import Identification, RightPerson
from refreshd.wiring.discovery import Resolved, resolve, resolve_all
from refreshd.wiring.resolution import Endpoints
from refreshd.wiring.store import OpenStore


class LoginImpossible(Refusal):
    """This client cannot be logged in as it is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginWish:
    """What was asked for. `paste_from`: the descriptor from which the redirect is read; None: a server waits for it."""

    id: CredentialId
    client: ClientName
    patience: timedelta
    paste_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyLogin:
    """All that is needed to begin."""

    login: Login
    plan: LoginPlan
    redirects: Redirects


@asynccontextmanager
async def ready_login(
    settings: Settings, opened: OpenStore, wish: LoginWish, told: LoginTold, *, on_store_failure: Callable[[str], None]
) -> AsyncIterator[ReadyLogin]:
    """Raises `Refusal` when something is missing; nobody was sent to a browser then."""
    resolved, clock = await resolve(settings, opened, wish.client), opened.clock
    plan = _plan(settings, wish, resolved)
    one = settings.clients[wish.client]
    async with AsyncExitStack() as stack:
        writer = StoreThread(opened.engines.write, "store-write")
        logins = await stack.enter_async_context(SqlLogins(writer, opened.importer(settings), opened.codec))
        connections = await stack.enter_async_context(
            Connections([plan.client], limit=1, user_agent=f"refreshd/{__version__}")
        )
        redirects: Redirects
        if wish.paste_from is None:
            redirects = await stack.enter_async_context(CallbackServer(one.redirect_uri))
        else:
            redirects = await stack.enter_async_context(PastedRedirects(one.redirect_uri, descriptor=wish.paste_from))
        person = RightPerson(
            _identification(settings, opened, plan, resolved.endpoints),
            logins=logins,
            userinfo=HttpUserinfo(connections),
            clock=clock,
            on_store_failure=on_store_failure,
        )
        login = Login(
            logins=logins,
            endpoint=HttpTokenEndpoint(connections, clock=clock),
            person=person,
            clock=clock,
            random=os.urandom,
            told=told,
        )
        yield ReadyLogin(login=login, plan=plan, redirects=redirects)


def waits_on_loopback(one: ClientSettings) -> bool:
    """Whether a server of ours can be where this client's logins come back to."""
    return one.redirect_uri.startswith("http:")  # the configuration takes that to this machine only


def check_configured(settings: Settings, client: str) -> None:
    """Whether an address to log in at can be known at all. Raises `LoginImpossible`."""
    profile = settings.clients[client].provider_profile
    if profile.authorization_endpoint is None and profile.issuer is None:
        raise LoginImpossible(
            f"clients.{client}.authorization_endpoint is needed for a login, and this provider's preset names none; write the "
            "address of the provider's login page"
        )


def _plan(settings: Settings, wish: LoginWish, resolved: Resolved) -> LoginPlan:
    """Raises `LoginImpossible`."""
    registration = resolved.registration
    return LoginPlan(
        id=wish.id,
        client=registration.client,
        profile=_profile(wish.client, settings.clients[wish.client], resolved.endpoints),
        access_lifetime=registration.policy.access_lifetime,
        required_scope=registration.policy.required_scope,
        patience=wish.patience,
    )


def _profile(name: ClientName, one: ClientSettings, endpoints: Endpoints) -> LoginProfile:
    profile = one.provider_profile
    if endpoints.authorization is None:
        raise LoginImpossible(
            f"the metadata of {endpoints.issuer} name no authorization_endpoint, so nobody can log in there; write "
            f"clients.{name}.authorization_endpoint if there is one"
        )
    return LoginProfile(
        authorization_endpoint=endpoints.authorization,
        client_id=one.client_id,
        scope=requested_scope(one.scope, profile.required_scope),
        issuer=endpoints.issuer,
        iss_required=endpoints.iss_required,
        parameters=tuple(
            (name, value) for name, _, value in (one.partition("=") for one in profile.authorization_parameters)
        ),
    )


def _identification(settings: Settings, opened: OpenStore, plan: LoginPlan, endpoints: Endpoints) -> Identification:
    """Accounts of two clients can be compared when the same endpoint tells them."""
    known = resolve_all(settings, opened)
    alike = (name for name, one in known.items() if one.endpoints.userinfo == endpoints.userinfo)
    return Identification(
        client=plan.client,
        userinfo_endpoint=endpoints.userinfo,
        comparable=frozenset((plan.client.name, *alike)),
        revocable=endpoints.revocation is not None,
        required_scope=plan.required_scope,
    )
