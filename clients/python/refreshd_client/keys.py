"""What stands where in Redis: schema 1 of refreshd's contract. The daemon's own tests compare this with what it writes."""

from dataclasses import dataclass

SCHEMA = "1"
DEFAULT_PREFIX = "refreshd"
REQUESTS_CAP = 1000
TOKEN_FIELDS = ("access_token", "token_type", "scope", "expires_at", "issued_at", "generation", "schema")
STATUS_FIELDS = ("status", "reason", "relogin_by", "schema")


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix, which is the daemon's `redis.key_prefix`."""

    prefix: str

    def token(self, credential_id: str) -> str:
        return f"{self.prefix}:token:{credential_id}"

    def status(self, credential_id: str) -> str:
        return f"{self.prefix}:status:{credential_id}"

    @property
    def requests(self) -> str:
        return f"{self.prefix}:requests"
