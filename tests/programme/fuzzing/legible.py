"""What stands in a body: unpacked, read as JSON, or searched by eye. How far that goes is this reader's own business."""

import json
import zlib
from collections.abc import Mapping

from tests.programme.fuzzing.bodies import CAP

_KEY = '"refresh_token"'


class Pairs(list[tuple[str, object]]):
    """A JSON object as the pairs that stood in it."""


def unpacked(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body without its content coding, as far as it can be unpacked and no further than the cap."""
    if headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    data = _inflated(body, 47)
    if not data and b"refresh_token" not in body and not body.lstrip().startswith(b"{"):
        data = _inflated(body, -15)
    return data or body


def object_of(body: bytes) -> Pairs | None:
    """RFC 8259, read as leniently as providers write: control characters, NaN, any of its encodings, stray bytes."""
    try:
        try:
            text = body.decode(json.detect_encoding(body), "surrogatepass")
        except UnicodeDecodeError:
            text = readable(body)
        value = json.loads(text, strict=False, object_pairs_hook=Pairs, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Pairs) else None


def readable(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")


def texts_of(pairs: Pairs, key: str) -> list[str]:
    return [value for name, value in pairs if name == key and isinstance(value, str) and value]


def visible(text: str) -> dict[str, str]:
    """Every `"refresh_token": "text"` that stands in the text from its first quote to its last: the literal, what it says."""
    found: dict[str, str] = {}
    at = text.find(_KEY)
    while at >= 0:
        begin = _behind_colon(text, at + len(_KEY))
        end = _closing(text, begin) if begin is not None else None
        if begin is not None and end is not None:
            literal = text[begin:end]
            token = _literal(literal)
            if token:
                found[literal] = token
        at = text.find(_KEY, end if end is not None else at + 1)
    return found


def stray(literals: Mapping[str, str]) -> bool:
    """Whether bytes stand in one of them that are no UTF-8: then what it says is a matter of taste."""
    return any("\ud800" <= one <= "\udfff" for literal in literals for one in literal)


def _behind_colon(text: str, at: int) -> int | None:
    """The place of the opening quote."""
    colons = 0
    while at < len(text):
        if text[at] == '"' and colons == 1:
            return at
        if text[at] == ":":
            colons += 1
        elif not text[at].isspace():
            return None
        at += 1
    return None


def _closing(text: str, begin: int) -> int | None:
    """The place behind the quote that ends the string which begins there."""
    at = begin + 1
    while True:
        quote = text.find('"', at)
        if quote < 0:
            return None
        between = text[at:quote]
        if (len(between) - len(between.rstrip("\\"))) % 2 == 0:
            return quote + 1
        at = quote + 1


def _literal(text: str) -> str | None:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _inflated(body: bytes, wbits: int) -> bytes:
    """Piece by piece, so that what stands before a broken place is not lost; a member may follow another (RFC 1952 §2.2)."""
    step = 1 if len(body) < 4096 else 64
    pieces = (body[at : at + step] for at in range(0, len(body), step))
    found, unpacker = b"", zlib.decompressobj(wbits=wbits)
    for piece in pieces:
        if unpacker.eof:
            unpacker = zlib.decompressobj(wbits=wbits)
        try:
            found += unpacker.decompress(piece, CAP + 1 - len(found))
        except zlib.error:
            break
        if len(found) > CAP:
            break
        if unpacker.eof and unpacker.unused_data:
            rest, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=wbits)
            try:
                found += unpacker.decompress(rest, max(CAP + 1 - len(found), 1))
            except zlib.error:
                break
    return found
