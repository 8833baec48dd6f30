"""PostgreSQL's URLs, as libpq reads them: what may stand in one, and whether its connection is safe beyond this machine."""

import re
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("postgresql", "postgresql+psycopg")
_WANTED = (
    'must be the URL of a database, such as "postgresql://refreshd@db.example/refreshd?sslmode=verify-full" (several hosts '
    "with commas between them)"
)
_SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PARAMETERS = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "dbname",
        "gssencmode",
        "host",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "passfile",
        "password",
        "port",
        "require_auth",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    }
)
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:,@/]*)(?::[0-9]{0,5})?")


def is_postgres(text: str) -> bool:
    return text.partition("://")[0].partition("+")[0] == "postgresql"


def parse_postgres_url(text: str) -> str:
    """Raises `ValueError` with what would be right."""
    scheme, _, rest = text.partition("://")
    if scheme not in _SCHEMES or not text.isprintable() or " " in text or "#" in text:
        raise ValueError(_WANTED)
    hosts = _netloc(rest).rpartition("@")[2]
    if not all(_HOST.fullmatch(one) for one in hosts.split(",")):
        raise ValueError(_WANTED)
    for name, value in _parameters(text):
        if name not in _PARAMETERS:
            raise ValueError(_unknown(name))
        if name == "sslmode" and value not in _SSLMODES:
            raise ValueError(f"has an sslmode that does not exist; choose one of {', '.join(_SSLMODES)}")
    return text


def is_unverified(text: str) -> bool:
    """Whether somebody between us and the server could read or replace what is stored."""
    given = dict(_parameters(text))
    hosts = [given["host"]] if "host" in given else _netloc(text.partition("://")[2]).rpartition("@")[2].split(",")
    remote = any(not _is_local(unquote(re.sub(r":[0-9]*$", "", one)).strip("[]")) for one in hosts)
    return remote and given.get("sslmode") != "verify-full"


def connecting(text: str) -> tuple[int, timedelta | None]:
    """How many hosts are tried one after the other, and how long each, if the URL says that."""
    given = dict(_parameters(text))
    hosts = given.get("hostaddr") or given.get("host") or _netloc(text.partition("://")[2]).rpartition("@")[2]
    seconds = given.get("connect_timeout", "")
    return hosts.count(",") + 1, timedelta(seconds=int(seconds)) if seconds.isdecimal() and int(seconds) else None


def _netloc(rest: str) -> str:
    return re.split(r"[/?]", rest, maxsplit=1)[0]


def _parameters(text: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit("x://h/?" + text.partition("?")[2]).query, keep_blank_values=True)


def _unknown(name: str) -> str:
    if name == "options":
        return "must not set options: PgBouncer refuses them; set them for the role, with ALTER ROLE … SET …"
    shown = re.sub(r"[^a-z_]", "", name)[:32]
    close = get_close_matches(name, sorted(_PARAMETERS), n=1)
    return f"has a parameter that is not understood, {shown!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _is_local(host: str) -> bool:
    """No host is the local socket, too."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
