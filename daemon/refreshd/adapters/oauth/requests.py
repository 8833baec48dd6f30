"""Requests in which a client proves itself (RFC 6749 §2.3.1): at the token endpoint, and wherever else a form is posted."""

import base64
from collections.abc import Sequence
from urllib.parse import quote_plus, urlencode

from refreshd.adapters.oauth.transport import Exchange, Request
from refreshd.domain.client import AuthMethod, Client, ClientIdIn


def form_request(client: Client, url: str, form: Sequence[tuple[str, str]], exchange: Exchange) -> Request:
    """A POST of `form` as this client."""
    fields = list(form)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    secret = client.client_secret.reveal() if client.client_secret else ""
    match client.auth_method:
        case AuthMethod.BASIC:
            # RFC 6749 §2.3.1: both halves are form-encoded before base64
            pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        case AuthMethod.POST:
            fields += [("client_id", client.client_id), ("client_secret", secret)]
        case AuthMethod.NONE if client.client_id_in is ClientIdIn.QUERY:
            url += ("&" if "?" in url else "?") + urlencode({"client_id": client.client_id})
        case AuthMethod.NONE:
            fields.append(("client_id", client.client_id))
    body = urlencode(fields, errors="surrogatepass").encode("ascii")
    return Request(method="POST", url=url, headers=headers, body=body, exchange=exchange)
