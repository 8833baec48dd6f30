"""Provider text made fit for a log."""

import re
from collections.abc import Sequence
from html import escape
from urllib.parse import quote, quote_plus

from refreshd.domain.secret import Secret

_DETAIL_LENGTH = 256
_UNFIT_FOR_A_LOG = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_TOKEN_SHAPED = re.compile(r"[A-Za-z0-9._~+/=-]{24,}")


def scrubbed(text: str, secrets: Sequence[Secret]) -> str:
    """Without secrets, ours or any that looks like one, on one line, and short."""
    revealed = [secret.reveal() for secret in secrets if secret]
    text = _without(text, revealed)
    text = _without(_UNFIT_FOR_A_LOG.sub(" ", text), revealed)  # once more: what stood between may have hidden one
    return _TOKEN_SHAPED.sub("***", text)[:_DETAIL_LENGTH]


def _without(text: str, secrets: Sequence[str]) -> str:
    """Servers echo what they were sent plain, form-encoded, percent-encoded in either case, or escaped for HTML."""
    for secret in secrets:
        encoded = secret.encode("utf-8", "surrogatepass")
        percent = (quote_plus(encoded), quote(encoded, safe=""), quote(encoded))
        shapes = {secret, *percent, escape(secret), escape(secret, quote=False)}
        for shape in sorted(shapes, key=len, reverse=True):
            text = re.sub(re.escape(shape), "***", text, flags=re.IGNORECASE)
    return text
