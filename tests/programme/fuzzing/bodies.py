"""The grammar: whole bodies, mostly JSON, before anything is done to them. What is done to them stands in `damage`."""

import base64
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from tests.programme.fuzzing import words
from tests.programme.fuzzing.chance import Chance

CAP = 64 * 1024
_SIZES = (CAP - 1, CAP, CAP + 1, CAP + 2, 2 * CAP, 100_000, 300_000)
_PADDING = "x" * max(_SIZES)


@dataclass(frozen=True, slots=True)
class Planted:
    """What must never be seen in a log, whatever a provider repeats."""

    presented: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class Text:
    """One body.

    `promises`: the refresh tokens that an honest reader finds in it, in order, each with the offset behind its closing quote;
    the last one before a cut counts. `secrets`: tokens made for it.
    """

    body: bytes
    promises: tuple[tuple[int, str], ...] = ()
    secrets: tuple[str, ...] = ()


def any_body(chance: Chance, planted: Planted) -> tuple[Text, bool]:
    """A body, and whether a success is the natural status for it."""
    draw = chance.below(100)
    if draw < 55:
        return token_response(chance, planted), True
    if draw < 80:
        return Text(error_response(chance, planted).encode("utf-8", "surrogatepass")), False
    if draw < 90:
        return Text(chance.pick(words.NO_JSON)), chance.one_in(2)
    return _misplaced(chance, token_response(chance, planted)), True


def token_response(chance: Chance, planted: Planted) -> Text:
    """RFC 6749 §5.1, and each of its fields as nobody should send it."""
    writer = _Writer(chance)
    odd = 0 if chance.one_in(3) else 8
    fields: list[Callable[[], None]] = [
        lambda: writer.access_token(odd),
        lambda: writer.refresh_token(odd),
        lambda: writer.value("token_type", words.TOKEN_TYPES, words.OTHER_TYPES, odd),
        lambda: writer.value("expires_in", words.LIFETIMES, words.ODD_LIFETIMES, odd),
        lambda: writer.value("scope", words.SCOPES, words.ODD_SCOPES, odd),
    ]
    if odd:
        fields = [field for field in fields if not chance.one_in(12)]
        fields += _oddities(chance, writer, planted)
    if chance.one_in(2):
        chance.shuffled(fields)
    for field in fields:
        field()
    if odd and chance.one_in(25):
        return _encoded(chance, writer.text(), writer.secrets)
    return writer.done()


def _oddities(chance: Chance, writer: "_Writer", planted: Planted) -> list[Callable[[], None]]:
    """What else may stand in the object, each now and then."""
    found: list[Callable[[], None]] = [lambda: writer.member(chance.pick(words.EXTRAS))]
    if chance.one_in(10):
        found.append(lambda: writer.refresh_token(2))
    if chance.one_in(20):
        found.append(lambda: writer.access_token(2))
    if chance.one_in(15):
        found.append(lambda: writer.member(error_response(chance, planted)[1:-1]))
    if chance.one_in(30):
        found.append(lambda: writer.decoy(chance.pick(words.DECOYS)))
    if chance.one_in(300):
        found.append(lambda: writer.member(chance.pick(words.DEEP)))
    if chance.one_in(40):
        size = chance.pick(_SIZES)
        found.insert(chance.below(2) * len(found), lambda: writer.padding(size))
    return found


def error_response(chance: Chance, planted: Planted) -> str:
    """RFC 6749 §5.2, Hydra's own fields, and error pages that repeat the request they are about."""
    error = chance.pick(words.NO_ERRORS) if chance.one_in(8) else json.dumps(chance.pick(words.ERRORS))
    fields = [f'"error":{error}']
    if chance.one_in(20):
        fields.append(f'"error":{json.dumps(chance.pick(words.ERRORS))}')
    texts = (name for name in ("error_description", "error_hint", "hint", "error_debug", "message") if chance.one_in(3))
    fields.extend(f"{json.dumps(name)}:{_description(chance, planted)}" for name in texts)
    if chance.one_in(8):
        fields.append('"status_code":400')
    return "{" + ",".join(chance.shuffled(fields)) + "}"


def _description(chance: Chance, planted: Planted) -> str:
    draw = chance.below(20)
    if draw == 0:
        return chance.pick(words.NO_TOKENS)
    if draw < 4:
        return json.dumps(chance.pick(words.SHARED_USE))
    if draw < 12:
        return json.dumps(chance.pick(words.DESCRIPTIONS), ensure_ascii=chance.one_in(2))
    return json.dumps(f"{chance.pick(words.DESCRIPTIONS[:3])} {_echo(chance, planted)} was refused")


def _echo(chance: Chance, planted: Planted) -> str:
    """A secret as an error page shows it: as it is, in a form in either case of hex digits, in HTML, in the header."""
    secret = planted.presented if chance.one_in(2) else planted.client_secret
    match chance.below(6):
        case 0:
            return quote_plus(secret)
        case 1:
            return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote_plus(secret))
        case 2:
            return quote(secret, safe="")
        case 3:
            return html.escape(secret)
        case 4:
            return f"Authorization: Basic {basic(planted)}"
        case _:
            return secret


def basic(planted: Planted) -> str:
    """RFC 6749 §2.3.1."""
    return base64.b64encode(f"{words.CLIENT_ID}:{quote_plus(planted.client_secret)}".encode()).decode()


def _misplaced(chance: Chance, response: Text) -> Text:
    """A token response with something before it, behind it or around it: the provider believes that it succeeded."""
    before = chance.pick(words.PREFIXES) if chance.one_in(2) else b""
    after = chance.pick(words.SUFFIXES) if not before or chance.one_in(3) else b""
    ends = tuple((len(before) + end, token) for end, token in response.promises)
    return Text(before + response.body + after, ends, response.secrets)


def _encoded(chance: Chance, text: str, secrets: tuple[str, ...]) -> Text:
    """Not UTF-8, which RFC 8259 §8.1 demands, but what JSON readers understand all the same. The judge says what counts."""
    encoding = chance.pick(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"))
    errors = "replace" if encoding in ("latin-1", "cp1252") else "surrogatepass"
    return Text(text.encode(encoding, errors), secrets=secrets)


class _Writer:
    """Writes one JSON object member by member and keeps where each refresh token ended."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._colon, self._comma = chance.pick(((":", ","), (": ", ", "), (" :\t", ",\r\n  ")))
        self._parts: list[str] = []
        self._ends: list[tuple[int, str]] = []
        self._length = 1
        self._sure = True
        self._secrets: list[str] = []

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self._secrets)

    def member(self, text: str) -> None:
        if self._parts:
            self._length += len(self._comma)
        self._parts.append(text)
        self._length += len(text)

    def decoy(self, text: str) -> None:
        """A text that looks like a refresh token without being one: nothing is promised of this body any more."""
        self._sure = False
        self.member(text)

    def value(self, key: str, usual: tuple[str, ...], odd: tuple[str, ...], share: int) -> None:
        literal = self._chance.pick(odd if share and self._chance.one_in(share) else usual)
        self.member(f'"{key}"{self._colon}{literal}')

    def padding(self, size: int) -> None:
        """Makes the object, if nothing follows, just so many bytes long."""
        room = size - self._length - len(f'{self._comma}"padding"{self._colon}""' + "}")
        self.member(f'"padding"{self._colon}"{_PADDING[: max(room, 0)]}"')

    def access_token(self, odd: int) -> None:
        self.member(f'"access_token"{self._colon}{self._token("at-", odd)[0]}')

    def refresh_token(self, odd: int) -> None:
        literal, token = self._token("rt-", odd)
        key = '"refresh\\u005ftoken"' if odd and self._chance.one_in(60) else '"refresh_token"'
        self._sure = self._sure and "\\" not in key and literal not in words.BROKEN_LITERALS
        self.member(f"{key}{self._colon}{literal}")
        if token:
            self._ends.append((self._length, token))

    def _token(self, prefix: str, odd: int) -> tuple[str, str | None]:
        """A JSON literal and the text it stands for, if it stands for one."""
        chance = self._chance
        if not odd or not chance.one_in(odd):
            text = chance.token(prefix)
            self._secrets.append(text)
            return f'"{text}"', text
        draw = chance.below(12)
        if draw == 0:
            return chance.pick(words.BROKEN_LITERALS), None
        if draw < 4:
            return chance.pick(words.NO_TOKENS), None
        return self._spelled(chance.pick(words.ODD_TOKENS))

    def _spelled(self, text: str) -> tuple[str, str | None]:
        match self._chance.below(4):
            case 0:
                literal = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'  # control characters as they are
            case 1:
                literal = '"' + "".join(f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one for one in text) + '"'
            case 2:
                literal = json.dumps(text).replace("/", "\\/")
            case _:
                literal = json.dumps(text)
        raw = any("\ud800" <= one <= "\udfff" for one in literal)
        self._sure = self._sure and not raw  # as bytes it is no UTF-8: something is kept, which is all one can do
        value: str = json.loads(literal, strict=False)
        return literal, value

    def text(self) -> str:
        return "{" + self._comma.join(self._parts) + "}"

    def done(self) -> Text:
        text = self.text()
        body = text.encode("utf-8", "surrogatepass")
        if not self._sure:
            return Text(body, secrets=self.secrets)
        ends = tuple(self._ends)
        if len(body) > len(text):
            ends = tuple((len(text[:end].encode("utf-8", "surrogatepass")), token) for end, token in ends)
        return Text(body, ends, self.secrets)
