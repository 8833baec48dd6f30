"""Authentication for requests that follows refreshd's 401 rule. Needs requests."""

from functools import partial
from http import HTTPStatus
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body

from refreshd_client.reader import TokenReader
from refreshd_client.rule import WAIT
from refreshd_client.token import Token


class RequestsAuth(AuthBase):
    """Each request carries the current token of one credential; one that was refused is tried once more.

    A body that can be sent only once (a generator, a pipe) is not sent again: its 401 goes to the caller at once, and the
    daemon is asked for a refresh. `wait`: the longest time, in seconds, to wait for a token, or for a newer one.
    """

    def __init__(self, reader: TokenReader, credential_id: str, *, wait: float = WAIT) -> None:
        self._reader = reader
        self._id = credential_id
        self._wait = wait

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        token = self._reader.get(self._id, wait=self._wait)
        r.headers["Authorization"] = token.authorization
        r.register_hook("response", partial(self._answered, token))
        return r

    def _answered(self, token: Token, response: Response, **how: Any) -> Response:
        """`how`: what the first request was sent with, such as its time-out."""
        if not _refused(response, token):
            return response
        again = (
            response.request
        )  # no copy: what follows a redirect is made from this one, and must carry the newer token
        if not _repeatable(again):
            self._reader.request_refresh(self._id, token.generation)
            return response
        _ = response.content  # gives the connection back: others need it while we wait
        newer = self._reader.wait_for_newer(self._id, token.generation, wait=self._wait)
        if newer is None:
            return response
        again.headers["Authorization"] = newer.authorization
        answer: Response = response.connection.send(again, **how)
        answer.history.append(response)
        return answer


def _refused(response: Response, token: Token) -> bool:
    """Whether this very token was refused: after a redirect to another host requests has taken it off."""
    refused = response.status_code == HTTPStatus.UNAUTHORIZED
    return refused and response.request.headers.get("Authorization") == token.authorization


def _repeatable(request: PreparedRequest) -> bool:
    """Rewinds a file to where it was sent from."""
    if request.body is None or isinstance(request.body, str | bytes):
        return True
    try:
        rewind_body(request)
    except UnrewindableBodyError:
        return False
    return True
