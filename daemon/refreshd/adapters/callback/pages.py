"""What the browser is shown: plain pages that load nothing, keep nothing, and repeat nothing that was sent."""

from aiohttp import web

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>refreshd: {title}</title></head>
<body>
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
"""


def done() -> web.Response:
    return _page(200, "Done", "The login is stored. You may close this window.")


def failed() -> web.Response:
    return _page(400, "Not logged in", "Nothing was stored. The terminal where the login began says why.")


def refused() -> web.Response:
    return _page(
        400,
        "This is not the answer to our login",
        "It was refused, and the login goes on waiting. Use the address that the terminal shows, and only that.",
    )


def over() -> web.Response:
    return _page(410, "This login was answered already", "There is nothing left to do. You may close this window.")


def not_here() -> web.Response:
    return _page(404, "There is nothing here", "A login is waiting for its answer at another address.")


def only_get() -> web.Response:
    page = _page(405, "This address is only visited", "A login is answered by visiting it, not by sending a form.")
    page.headers["Allow"] = "GET"
    return page


def wrong_host() -> web.Response:
    return _page(421, "This server has another name", "A login is answered at the address that the terminal shows.")


def _page(status: int, title: str, text: str) -> web.Response:
    return web.Response(
        status=status, headers=_HEADERS, content_type="text/html", text=_PAGE.format(title=title, text=text)
    )
