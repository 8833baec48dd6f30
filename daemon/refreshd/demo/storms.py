"""Ready-made answers that stand in for a provider's own: what load balancers, gateways and bad days really say."""

from refreshd.demo.dialects import Dialect, Reply, Verdict, refuse, refuse_client, refuse_concurrent
from refreshd.demo.faults import OtherAnswer

_HTML = b"<!doctype html><html><head><title>One moment</title></head><body><p>Please wait.</p></body></html>"


def throttled(retry_after: int | str | None = 1) -> OtherAnswer:
    """429; `retry_after` in seconds or an HTTP date, None leaves the header out."""
    return OtherAnswer(status=429, headers=_after(retry_after))


def unavailable(retry_after: int | str | None = None) -> OtherAnswer:
    """503. With Retry-After it was surely not processed, without it nobody knows (protocol: classes of answers)."""
    return OtherAnswer(status=503, headers=_after(retry_after))


def gateway(status: int = 504, *, commits: bool = False) -> OtherAnswer:
    """500, 502 or 504 with a page of HTML; `commits`: the provider behind it had gone on."""
    return OtherAnswer(status=status, body=_HTML, headers={"content-type": "text/html"}, commits=commits)


def client_refused(dialect: Dialect = Dialect.HYDRA_2_3) -> OtherAnswer:
    """401 `invalid_client`, as of a storage fault while the client is loaded."""
    return _said(refuse_client(dialect))


def everyone_refused(dialect: Dialect = Dialect.HYDRA_2_3) -> OtherAnswer:
    """What an unknown refresh token gets, for all: a lost database, or the wrong environment (a grant storm, R10)."""
    return _said(refuse(dialect, Verdict.UNKNOWN))


def concurrent_use(dialect: Dialect = Dialect.HYDRA_2_3) -> OtherAnswer:
    """400 `invalid_request` with a hint about concurrency: somebody else uses our token."""
    return _said(refuse_concurrent(dialect))


def page(status: int = 200) -> OtherAnswer:
    """HTML with a status of success: a captive portal, or a maintenance page."""
    return OtherAnswer(status=status, body=_HTML, headers={"content-type": "text/html"})


def redirect(location: str = "/login", status: int = 302) -> OtherAnswer:
    return OtherAnswer(status=status, headers={"location": location})


def _said(reply: Reply) -> OtherAnswer:
    return OtherAnswer(status=reply.status, body=reply.body, headers=reply.headers)


def _after(retry_after: int | str | None) -> dict[str, str]:
    return {} if retry_after is None else {"retry-after": str(retry_after)}
