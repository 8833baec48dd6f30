"""Bodies that a server compressed although it was asked not to: unpacked within a cap, and as far as they go."""

import zlib

from refreshd.domain.token_response import MAX_BODY

_ZLIB_OR_GZIP = 47
_BARE = -zlib.MAX_WBITS


def unpacked(body: bytes) -> bytes:
    """As far as it goes: what a cut or damaged stream still yields may hold the refresh token. Not packed at all: as it is.

    `deflate` comes with zlib's frame (RFC 9110 §8.4.1.2) and, from many servers, without; gzip may come in several members.
    """
    for frame in () if _is_object(body) else (_ZLIB_OR_GZIP, _BARE):
        found, rest = b"", body
        while rest and len(found) <= MAX_BODY:
            part, rest = _member(rest, frame, MAX_BODY + 1 - len(found))
            found += part
        looks_right = _is_object(found) or b'"refresh_token"' in found
        if found and (frame != _BARE or looks_right):  # without a frame anything unpacks to something
            return found
    return body


def _is_object(text: bytes) -> bool:
    return text.lstrip(b" \t\r\n\xef\xbb\xbf\xfe\xff\x00")[:1] == b"{"


def _member(packed: bytes, frame: int, room: int) -> tuple[bytes, bytes]:
    """One member's text, and what stands behind it; byte by byte once it is damaged, to keep what came before."""
    stream = zlib.decompressobj(wbits=frame)
    try:
        return stream.decompress(packed, room), stream.unused_data
    except zlib.error:
        return _before_damage(packed, frame, room), b""


def _before_damage(packed: bytes, frame: int, room: int) -> bytes:
    stream, found = zlib.decompressobj(wbits=frame), b""
    for position in range(len(packed)):
        try:
            found += stream.decompress(packed[position : position + 1], room - len(found) or 1)
        except zlib.error:
            break
        if len(found) >= room:
            break
    return found
