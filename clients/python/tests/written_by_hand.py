"""What refreshd would write, written by hand."""

from typing import Any

from redis import Redis

ID = "acme/1"
FIRST, SECOND = "token-one", "token-two"


def publish(
    store: Redis, token: str = FIRST, generation: int = 1, *, life: float = 60, prefix: str = "refreshd", **fields: str
) -> None:
    """A living token and its status; life in seconds."""
    key = f"{prefix}:token:{ID}"
    values: Any = {
        "access_token": token,
        "token_type": "bearer",
        "scope": "offline read",
        "expires_at": "1900000000",
        "issued_at": "1899996400",
        "client": "acme",
        "generation": str(generation),
        "revision": str(generation),
        "schema": "1",
        **fields,
    }
    with store.pipeline() as pipe:
        pipe.delete(key)
        pipe.hset(key, mapping=values)
        pipe.pexpire(key, int(life * 1000))
        pipe.execute()
    show(store, "active", prefix=prefix)


def show(store: Redis, status: str, *, prefix: str = "refreshd", **fields: str) -> None:
    values: Any = {
        "status": status,
        "reason": "",
        "relogin_by": "",
        "generation": "1",
        "revision": "1",
        "schema": "1",
        **fields,
    }
    store.hset(f"{prefix}:status:{ID}", mapping=values)


def withdraw(store: Redis, status: str, **fields: str) -> None:
    """What stays of a token that is taken back."""
    counters: Any = {"generation": "1", "revision": "2", "schema": "1"}
    store.delete(f"refreshd:token:{ID}")
    store.hset(f"refreshd:token:{ID}", mapping=counters)
    show(store, status, **fields)


def asked(store: Redis) -> list[dict[str, str]]:
    """The requests that wait for the daemon."""
    entries: Any = store.xrange("refreshd:requests")
    return [{_text(name): _text(value) for name, value in fields.items()} for _, fields in entries]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
