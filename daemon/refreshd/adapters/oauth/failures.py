"""What a fault of the transport proves about a request, whatever that request was."""

import re
import ssl
from http import HTTPStatus

import aiohttp

from refreshd.domain.outcome import Deferred, Misconfigured

_BAD_ADDRESS = (aiohttp.InvalidURL, ValueError)
FAULTS = (aiohttp.ClientError, OSError, *_BAD_ADDRESS)
"""Everything that sending a request and reading its answer may raise, beside the deadline."""


def unsent(exc: Exception) -> Deferred | Misconfigured:
    """What a fault before the first byte means."""
    if isinstance(exc, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        return Misconfigured(code="certificate", detail=str(exc))
    if isinstance(exc, _BAD_ADDRESS):
        return Misconfigured(code="invalid_url")
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # it could not reach the provider; it may soon
            return Deferred(code="proxy_unavailable", detail=f"the proxy answered {exc.status}")
        return Misconfigured(code="proxy_refused", detail=f"the proxy answered {exc.status}")
    return Deferred(code=name_of(exc), detail=str(exc))


def name_of(exc: Exception) -> str:
    """ServerDisconnectedError → server_disconnected."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", type(exc).__name__)
    return "_".join(word.lower() for word in words if word not in ("Error", "Exception")) or "failed"
