"""An answer as bytes on a connection: framed by HTTP well or badly, cut off, slow, too long, or followed by something else."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.programme.fuzzing.answers import Case
from tests.programme.fuzzing.chance import Chance

PATIENCE = 10.0
IMPATIENCE = 1.0
_LONG_LINE = 12_000
_MANY_LINES = 200
_SLOWLY = 0.01
_BODILESS = (204, 304)


class Ending(StrEnum):
    """What the server does when it has written all."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


class Certainty(StrEnum):
    """What a careful client must have got of it: all of it; its tokens at least; of an interrupted answer the tokens that came, and
    no verdict; anything or nothing, as it likes; nothing.
    """

    WHOLE = "whole"
    TOKENS = "tokens"
    PART = "part"
    PERHAPS = "perhaps"
    NOTHING = "nothing"


_ILLEGAL = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f]"
)  # in a header, of which it makes another or none at all (RFC 9110 §5.5)
_LESS = {Certainty.WHOLE: Certainty.PERHAPS, Certainty.TOKENS: Certainty.PERHAPS, Certainty.PART: Certainty.PERHAPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the server writes, each with a pause in seconds behind it.

    `body`: of it, what is content. `beyond`: what a client that looks further takes for it. `later`: written when the client has
    its answer. `may_stall`: only the deadline may end it.
    """

    name: str
    segments: tuple[tuple[bytes, float], ...]
    body: bytes
    ending: Ending = Ending.KEEP
    certainty: Certainty = Certainty.WHOLE
    beyond: bytes | None = None
    later: bytes = b""
    may_stall: bool = False

    @property
    def slow(self) -> bool:
        """Whether only its deadline may end it."""
        return self.may_stall or self.ending is Ending.HANG

    @property
    def seconds(self) -> float:
        """The deadline of the request."""
        return IMPATIENCE if self.slow else PATIENCE


def script(chance: Chance, case: Case) -> Script:
    """Frame the case's answer in one of the ways below; the first ones are the usual ones."""
    if case.status in _BODILESS:
        return _length(chance, replace(case, body=b""))
    if not 200 <= case.status <= 999:
        return _unfinished(chance, case)
    made = chance.pick(_FRAMES)(chance, case)
    if any(_ILLEGAL.search(value) for _, value in case.headers):
        made = replace(made, certainty=_LESS.get(made.certainty, made.certainty))
    return _dripping(chance, made) if chance.one_in(6) else made


def _length(chance: Chance, case: Case) -> Script:
    return _script("content-length", _head(chance, case, _claim(len(case.body))) + case.body, case.body)


def _closed(chance: Chance, case: Case) -> Script:
    head = _head(chance, case, chance.pick(("", "Connection: close\r\n")), version=chance.pick(("1.0", "1.1")))
    return _script("until closed", head + case.body, case.body, ending=Ending.CLOSE)


def _chunked(chance: Chance, case: Case) -> Script:
    trailer = chance.pick(("", "", "X-Checksum: 0\r\n"))
    raw = _head(chance, case, "Transfer-Encoding: chunked\r\n") + _chunks(chance, case.body)
    return _script("chunked", raw + f"0\r\n{trailer}\r\n".encode(), case.body)


def _too_long(chance: Chance, case: Case) -> Script:
    raw = _head(chance, case, _claim(len(case.body) + 1 + chance.below(99))) + case.body
    ending = Ending.HANG if chance.one_in(10) else Ending.CLOSE
    return _script("length too long", raw, case.body, ending=ending, certainty=Certainty.PART)


def _too_short(chance: Chance, case: Case) -> Script:
    body = (
        case.body[: len(case.body) - 1 - chance.below(4)]
        if chance.one_in(2)
        else case.body[: chance.below(len(case.body) + 1)]
    )
    raw = _head(chance, case, _claim(len(body))) + case.body
    ending = chance.pick((Ending.KEEP, Ending.CLOSE))
    made = _script("length too short", raw, body, ending=ending, certainty=Certainty.TOKENS)
    return replace(made, beyond=case.body)


def _behind(chance: Chance, case: Case) -> Script:
    """Bytes after the end: RFC 9112 §9.4 has them ignored or the connection closed, the answer before them stands."""
    rest = chance.pick((b"\r\n", b"\n\n", b"\x00", b"}", b"<!-- 12 ms -->", b"0\r\n\r\n", b"HTTP/1.1 ", b"x" * 5_000))
    head = _head(chance, case, _claim(len(case.body)) + chance.pick(("", "", "Connection: close\r\n")))
    ending = chance.pick((Ending.KEEP, Ending.CLOSE))
    made = _script("bytes behind", head + case.body + rest, case.body, ending=ending, certainty=Certainty.TOKENS)
    return replace(made, beyond=case.body + rest)


def _two_answers(chance: Chance, case: Case) -> Script:
    """Nobody asked for the second one. It is nobody's, and least of all the next credential's."""
    made = chance.pick((_length, _chunked))(chance, case)
    raw, body = (
        made.segments[0][0],
        b'{"access_token":"anothers","token_type":"bearer","refresh_token":"of-another-credential"}',
    )
    match chance.below(4):
        case 0:
            return replace(made, name="two answers", segments=((raw + answer(body), 0.0),))
        case 1:
            broken = answer(body).replace(b"Content-Length: ", b"Content-Length: -")
            return replace(made, name="two answers", segments=((raw + broken, 0.0),), certainty=Certainty.TOKENS)
        case _:
            return replace(made, name="late answer", later=answer(body))


def _broken_chunks(chance: Chance, case: Case) -> Script:
    raw = _head(chance, case, "Transfer-Encoding: chunked\r\n") + _chunks(chance, case.body)
    rest = chance.pick(
        (b"ZZ\r\n", b"-1\r\n", b"\r\n", b"5\r\nabc", b"ffffffffffffffffff\r\n", b"10 ;x=", b"", b"0\r\nX")
    )
    ending = Ending.HANG if chance.one_in(12) else Ending.CLOSE
    made = _script("broken chunks", raw + rest, case.body, ending=ending, certainty=Certainty.PART)
    return replace(made, may_stall=True)


def _cut_off(chance: Chance, case: Case) -> Script:
    """The connection ends after n bytes, anywhere."""
    head = _head(chance, case, _claim(len(case.body)))
    raw = head + case.body
    at = len(head) + chance.below(len(case.body) + 1) if chance.one_in(2) else chance.below(len(raw))
    ending = chance.pick((Ending.CLOSE, Ending.CLOSE, Ending.RESET))
    certainty = Certainty.PART if at >= len(head) else Certainty.NOTHING
    if at == len(raw):
        certainty = Certainty.WHOLE
    if ending is Ending.RESET and certainty is not Certainty.NOTHING:
        certainty = Certainty.PERHAPS
    return _script("cut off", raw[:at], raw[len(head) : at], ending=ending, certainty=certainty)


def _silent(chance: Chance, case: Case) -> Script:
    ending = Ending.HANG if chance.one_in(8) else chance.pick((Ending.CLOSE, Ending.RESET))
    return _script(
        "silent", b"" if chance.one_in(2) else b"\r\n", case.body, ending=ending, certainty=Certainty.NOTHING
    )


def _preludes(chance: Chance, case: Case) -> Script:
    """Interim answers before the final one (RFC 9110 §15.2)."""
    interim = chance.pick(
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 102 Processing\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n",
        )
    )
    raw = interim * (1 + chance.below(3)) + _head(chance, case, _claim(len(case.body))) + case.body
    return _script("interim answers", raw, case.body)


def _unfinished(chance: Chance, case: Case) -> Script:
    """A status that ends nothing, or that is none."""
    raw = _head(chance, case, _claim(len(case.body))) + case.body
    ending = Ending.HANG if chance.one_in(10) else Ending.CLOSE
    return _script("no final status", raw, b"", ending=ending, certainty=Certainty.NOTHING)


def _broken_head(chance: Chance, case: Case) -> Script:
    """Heads that a client may refuse (RFC 9112 §2.2, §3, §5, §6.3)."""
    good = _head(chance, case, _claim(len(case.body)))
    line, _, rest = good.partition(b"\r\n")
    status = f"{case.status}".encode()
    bad = chance.pick(
        (
            b"HTTP/2 " + status + b"\r\n" + rest,
            b"HTTP/1.1  " + status + b" OK\r\n" + rest,
            b"ICY " + status + b" OK\r\n" + rest,
            b"HTTP/1.1 " + status + b"\r\n" + rest,
            b"\x00\xff nonsense\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            line + b"\r\nno colon\r\n" + rest,
            line + b"\r\nX : space\r\n" + rest,
            line + b"\r\nX: nul\x00\r\n" + rest,
            line + b"\r\nX: folded\r\n more\r\n" + rest,
            line + b"\r\n" + _claim(len(case.body)).encode() + rest,
            line + b"\r\nContent-Length: 3\r\n" + rest,
            line + b"\r\nContent-Length: -1\r\n" + rest,
            line + b"\r\nTransfer-Encoding: chunked\r\n" + rest,
            line + b"\r\nTransfer-Encoding: gzip\r\n" + rest,
            good.replace(b"\r\n", b"\n"),
            good.replace(b"\r\n", b"\r"),
            line + b"\r\nX: " + b"x" * 300_000 + b"\r\n" + rest,
        )
    )
    return _script("broken head", bad + case.body, case.body, ending=Ending.CLOSE, certainty=Certainty.PERHAPS)


def _big_head(chance: Chance, case: Case) -> Script:
    """More header than usual, as a policy or a pile of cookies makes it, and no more than browsers take."""
    lines = chance.pick(
        (f"Content-Security-Policy: {'x' * _LONG_LINE}\r\n", "".join(f"X-{n}: {n}\r\n" for n in range(_MANY_LINES)))
    )
    raw = _head(chance, case, lines + _claim(len(case.body))) + case.body
    return _script("big head", raw, case.body, certainty=Certainty.TOKENS)


_FRAMES: tuple[Callable[[Chance, Case], Script], ...] = (
    *(_length,) * 12,
    *(_closed,) * 4,
    *(_chunked,) * 6,
    *(_too_long,) * 3,
    *(_too_short,) * 3,
    *(_behind,) * 3,
    *(_two_answers,) * 2,
    *(_broken_chunks,) * 2,
    *(_cut_off,) * 4,
    _silent,
    *(_preludes,) * 2,
    *(_broken_head,) * 2,
    _big_head,
)


def answer(body: bytes) -> bytes:
    """A plain success."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + _claim(len(body)).encode() + b"\r\n" + body


def _script(
    name: str, raw: bytes, body: bytes, *, ending: Ending = Ending.KEEP, certainty: Certainty = Certainty.WHOLE
) -> Script:
    return Script(name=name, segments=((raw, 0.0),), body=body, ending=ending, certainty=certainty)


def _claim(length: int) -> str:
    return f"Content-Length: {length}\r\n"


def _head(chance: Chance, case: Case, lines: str, *, version: str = "1.1") -> bytes:
    reason = chance.pick((" OK", " Bad Request", " ", " \u00e9", " " + "x" * 200))
    given = "".join(f"{name}: {value}\r\n" for name, value in case.headers)
    around = chance.pick(_AROUND)
    text = f"HTTP/{version} {case.status}{reason}\r\n{around}{given}{lines}\r\n"
    return text.encode("utf-8", "surrogatepass")


_AROUND = (
    "",
    "Content-Type: application/json\r\n",
    "content-type: application/json;charset=UTF-8\r\nCache-Control: no-store\r\nPragma: no-cache\r\n",
    "Content-Type: text/html; charset=utf-16\r\nContent-Type: application/json\r\n",
    "Content-Type: \r\nServer: \u00e9\u20ac\r\n",
    'Set-Cookie: session=of-another; Path=/\r\nSet-Cookie: \x01=;;; Domain=.\r\nSet-Cookie: a="\r\n',
    "Location: http://127.0.0.1:9/elsewhere\r\nRefresh: 0; url=http://127.0.0.1:9/\r\n",
    "Location: http://[\r\nLink: <x>; rel=next\r\n",
    "Keep-Alive: timeout=0\r\nConnection: keep-alive\r\n",
    'Upgrade: h2c\r\nAlt-Svc: h3=":443"\r\nStrict-Transport-Security: max-age=1\r\n',
    f"X-Long: {'x' * 7_000}\r\n",
)


def _chunks(chance: Chance, body: bytes) -> bytes:
    """Some chunks of any size, with an extension now and then."""
    raw, at = b"", 0
    while at < len(body):
        size = 1 + chance.below(len(body) - at) if chance.one_in(2) else len(body) - at
        part = body[at : at + size]
        raw += f"{len(part):x}{chance.pick(('', '', ';x=y'))}\r\n".encode() + part + b"\r\n"
        at += size
    return raw


def _dripping(chance: Chance, made: Script) -> Script:
    """The same bytes in up to six pieces, with a little time between."""
    raw = b"".join(data for data, _ in made.segments)
    cuts = sorted(chance.below(len(raw) + 1) for _ in range(1 + chance.below(5)))
    pieces = [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return replace(made, segments=tuple((piece, _SLOWLY if chance.one_in(2) else 0.001) for piece in pieces))
