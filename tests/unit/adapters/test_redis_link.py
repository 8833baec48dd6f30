"""What is said of a fault of Redis: enough to mend it, and nothing that is secret."""

import ssl

import pytest
from redis import exceptions

from refreshd.adapters.redis.link import told


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


def unverified(message: str) -> ssl.SSLCertVerificationError:
    fault = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    fault.verify_message = message
    return fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (exceptions.ConnectionError("Error 111 connecting to 10.0.0.1:6379"), "ConnectionError"),
        (exceptions.AuthenticationError("invalid username-password pair"), "AuthenticationError"),
        (
            exceptions.NoPermissionError("this user has no permissions"),
            "NoPermissionError this user has no permissions",
        ),
        (
            exceptions.ResponseError(
                "unknown command 'EVALSHA', with args beginning with: 'x' 'access_token' 'the-token'"
            ),
            "ResponseError unknown command 'EVALSHA'",
        ),
        (exceptions.ResponseError(""), "ResponseError"),
        (
            caused(
                exceptions.ConnectionError("to 10.0.0.1"),
                unverified("IP address mismatch, certificate is not valid for 10.0.0.1"),
            ),
            "ConnectionError IP address mismatch",
        ),
        (
            caused(
                exceptions.RedisClusterException("cannot be connected: 10.0.0.1"),
                caused(exceptions.ConnectionError("to 10.0.0.1"), unverified("certificate has expired")),
            ),
            "ConnectionError certificate has expired",
        ),
        (exceptions.RedisClusterException("All slots are not covered"), "RedisClusterException"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_fault_is_named_by_its_cause(fault: Exception, said: str) -> None:
    """What the server or TLS says is passed on; addresses, passwords and tokens are not."""
    assert said == told(fault)
