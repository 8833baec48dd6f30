"""The settings: every key that exists, its type and its default. Reading and judging them stands in the neighbours."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from refreshd.config.addresses import Listen
from refreshd.config.field_types import (
    AuthMethods,
    Codes,
    Count,
    CountedFrom,
    DatabaseNumber,
    Directory,
    Duration,
    FileName,
    Grant,
    HostPorts,
    Identifier,
    IdPlace,
    Issuer,
    KeyPrefix,
    Lifetime,
    ListenAddress,
    LogFormat,
    LogLevel,
    Name,
    OptionalAuthMethods,
    OptionalEndpoint,
    OptionalFileName,
    OptionalSecret,
    Parameters,
    PositiveDuration,
    Proxy,
    Rate,
    RedirectUri,
    RedisUrl,
    SecretText,
    Spread,
    Steps,
    StoreUrl,
    Text,
    Truth,
)
from refreshd.domain.client import AuthMethod, ClientIdIn, GrantType
from refreshd.domain.policy import LifetimeFrom

DEFAULT_PROVIDER = "frameio-v2"


class Table(BaseModel):
    """A table of the file. Neither its repr nor its dump holds a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class SchedulerSettings(Table):
    scan_interval: PositiveDuration = timedelta(seconds=1)
    refresh_before_expiry: PositiveDuration = timedelta(minutes=5)
    spread: Spread = 0.05
    concurrency: Count = 32
    request_timeout: PositiveDuration = timedelta(seconds=90)
    settle_delay: Duration = timedelta(seconds=60)
    commit_timeout: PositiveDuration = timedelta(seconds=10)
    drain_timeout: PositiveDuration = timedelta(seconds=150)


class StoreSettings(Table):
    """All defaults depend on $STATE_DIRECTORY and are filled in by `load`."""

    url: StoreUrl
    encryption_key_file: FileName
    spool_directory: Directory | None = None


class RedisSettings(Table):
    """One server by `url`, a primary that `sentinels` name, or a cluster; `redis_rules` says what goes together."""

    url: RedisUrl = "redis://127.0.0.1:6379/0"
    key_prefix: KeyPrefix = "refreshd"
    username: Text = ""
    password: OptionalSecret = None
    tls: Truth = False
    ca_file: OptionalFileName = None
    cert_file: OptionalFileName = None
    key_file: OptionalFileName = None
    cluster: Truth = False
    nodes: HostPorts = ()
    sentinels: HostPorts = ()
    sentinel_master: Identifier = "mymaster"
    db: DatabaseNumber = 0
    sentinel_username: Text = ""
    sentinel_password: OptionalSecret = None
    sentinel_tls: Truth = False
    sentinel_ca_file: OptionalFileName = None
    sentinel_cert_file: OptionalFileName = None
    sentinel_key_file: OptionalFileName = None


class RequestsSettings(Table):
    """What consumers may ask for: once in `min_interval` for each credential, at `max_rate` in all."""

    min_interval: PositiveDuration = timedelta(minutes=5)
    max_rate: Rate = 1.0


class ReloginSettings(Table):
    warn_before: Steps = (timedelta(days=7), timedelta(days=3), timedelta(days=1))


class HttpSettings(Table):
    listen: ListenAddress = Listen(host="127.0.0.1", port=9847)


class LogSettings(Table):
    format: LogFormat = "json"
    level: LogLevel = "info"
    successes: Truth = True


class ProviderProfile(Table):
    """A provider as one client sees it: the preset, and over it what the client's own table says.

    `auth_method` is no key: it is the one of `client_auth` that fits, depending on whether there is a secret. What is set
    (`model_fields_set`) counts before what the `issuer` publishes. `token_endpoint` None: the issuer has to name it.
    """

    issuer: Issuer = None
    authorization_endpoint: OptionalEndpoint = None
    authorization_parameters: Parameters = ()
    token_endpoint: OptionalEndpoint = None
    revocation_endpoint: OptionalEndpoint = None
    userinfo_endpoint: OptionalEndpoint = None
    client_auth: AuthMethods = (AuthMethod.BASIC, AuthMethod.NONE)
    client_credentials_auth: OptionalAuthMethods = ()
    auth_method: AuthMethod
    client_id_in: IdPlace = ClientIdIn.FORM
    access_token_lifetime: PositiveDuration = timedelta(hours=1)
    refresh_token_lifetime: Lifetime = None
    refresh_token_lifetime_from: CountedFrom = LifetimeFrom.UNKNOWN
    reuse_grace: Duration = timedelta(0)
    required_scope: Text = ""
    rejection_codes: Codes = ()
    notice: Text = ""


class ClientSettings(Table):
    """One registration of ours. In the file the provider's keys stand beside these, as overrides."""

    provider: str = DEFAULT_PROVIDER
    client_id: Identifier
    client_secret: SecretText = None
    grant: Grant = GrantType.REFRESH_TOKEN
    scope: Text = ""
    redirect_uri: RedirectUri = "http://127.0.0.1/callback"
    max_in_flight: Count = 16
    max_rate: Rate = 10.0
    proxy: Proxy = ""
    ca_file: OptionalFileName = None
    provider_profile: ProviderProfile


class Settings(Table):
    environment: Name = "production"
    scheduler: SchedulerSettings = SchedulerSettings()
    store: StoreSettings
    redis: RedisSettings = RedisSettings()
    requests: RequestsSettings = RequestsSettings()
    relogin: ReloginSettings = ReloginSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    clients: dict[str, ClientSettings] = {}


SECTIONS: dict[str, type[Table]] = {
    "scheduler": SchedulerSettings,
    "store": StoreSettings,
    "redis": RedisSettings,
    "requests": RequestsSettings,
    "relogin": ReloginSettings,
    "http": HttpSettings,
    "log": LogSettings,
}
DISCOVERED_KEYS = frozenset(
    {"authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint", "client_auth"}
)
PROVIDER_KEYS = frozenset(ProviderProfile.model_fields) - {"auth_method"}
CLIENT_KEYS = frozenset(ClientSettings.model_fields) - {"provider_profile"} | PROVIDER_KEYS
TOP_KEYS = frozenset({"environment"})
