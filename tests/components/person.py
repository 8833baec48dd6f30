"""A person with a browser, as far as plain HTTP goes: follows the authorization server's pages to the redirect of a login."""

import re
from collections.abc import Mapping
from http.client import HTTPMessage
from http.cookiejar import CookieJar
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, ProxyHandler, Request, build_opener

_MOST_PAGES = 20
_SECONDS = 30.0


class Person:
    """Logs in as `name` with any password, and consents. Cookies are kept: a second login finds the session of the first."""

    def __init__(self, name: str = "alice") -> None:
        self.name = name
        self._opener = build_opener(ProxyHandler({}), _Stay(), HTTPCookieProcessor(CookieJar()))

    def log_in(self, url: str, *, to: str, consent: bool = True) -> str:
        """Go from the login's URL through all pages; returns the address that the provider redirects to, not visited."""
        for _ in range(_MOST_PAGES):
            if url.startswith(to):
                return url
            status, location, page = self._visit(url)
            if location:
                url = urljoin(url, location)
                continue
            assert status == 200, (status, page[:500])
            if not consent and 'name="prompt" value="consent"' in page:
                url = urljoin(url, _abort_link(page))
                continue
            url = self._submit(url, page)
        raise AssertionError(f"no redirect to {to} within {_MOST_PAGES} pages")

    def visit(self, url: str) -> tuple[int, str]:
        """Status and page."""
        status, _, page = self._visit(url)
        return status, page

    def _submit(self, url: str, page: str) -> str:
        form = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        if form["prompt"] == "login":
            form |= {"login": self.name, "password": "any"}
        action = re.search(r'<form[^>]*action="([^"]+)"', page)
        assert action, page[:500]
        _, location, page = self._visit(urljoin(url, action[1]), form)
        return urljoin(url, location)

    def _visit(self, url: str, form: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        data = urlencode(form).encode() if form is not None else None
        try:
            answer = self._opener.open(Request(url, data), timeout=_SECONDS)
        except HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()


class _Stay(HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917 - urllib's own signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Follow nothing: the last redirect leads to the program under test."""


def _abort_link(page: str) -> str:
    link = re.search(r'href="([^"]+/abort)"', page)
    assert link, page[:500]
    return link[1]
