"""Reads the access tokens that refreshd publishes to Redis. It never sees a refresh token and never calls a token endpoint.

The auth classes stand in `refreshd_client.httpx_auth` and `refreshd_client.requests_auth`, which need httpx and requests.
"""

from refreshd_client.async_reader import AsyncTokenReader
from refreshd_client.reader import TokenReader
from refreshd_client.token import Token
from refreshd_client.unavailable import Reason, TokenUnavailable

__all__ = ["AsyncTokenReader", "Reason", "Token", "TokenReader", "TokenUnavailable"]
