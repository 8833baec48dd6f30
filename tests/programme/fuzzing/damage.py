"""What happens to a body on its way: it is cut, scribbled on, packed, or said to be packed."""

import gzip
import zlib
from collections.abc import Callable

from tests.programme.fuzzing.bodies import Text
from tests.programme.fuzzing.chance import Chance

_BOMB = b'"padding":"' + b" " * 3_000_000 + b'"}'
_SCRIBBLES = (
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"\x00",
    b"\xff",
    b"\xc3",
    b" ",
    b'"refresh_token":"scribbled"',
    b"\\u",
)


def cut(chance: Chance, text: Text) -> bytes:
    """A prefix; half of them end right before, at or behind the end of a refresh token."""
    if text.promises and chance.one_in(2):
        at = chance.pick(text.promises)[0] + chance.below(5) - 2
    else:
        at = chance.below(len(text.body) + 1)
    return text.body[: max(at, 0)]


def scribbled(chance: Chance, body: bytes) -> bytes:
    """One to three bytes replaced, removed, inserted or repeated."""
    for _ in range(1 + chance.below(3)):
        at = chance.below(len(body) + 1)
        match chance.below(5):
            case 0:
                body = body[:at] + bytes([chance.below(256)]) + body[at + 1 :]
            case 1:
                body = body[:at] + body[at + 1 + chance.below(4) :]
            case 2:
                body = body[:at] + chance.pick(_SCRIBBLES) + body[at:]
            case 3:
                body = body[: at + 20] + body[at:]
            case _:
                body = body[:at] + body[at : at + 1].swapcase() + body[at + 1 :]
    return body


def packed(chance: Chance, body: bytes) -> tuple[str, bytes]:
    """A content coding (RFC 9110 §8.4.1) and a body that is packed so, or nearly, or not at all."""
    how = _bomb if chance.one_in(60) else chance.pick(_PACKERS)
    data = how(body)
    if chance.one_in(4):
        data = data[: chance.below(len(data) + 1)]
    elif chance.one_in(6):
        at = len(data) - 1 - chance.below(min(len(data), 12))  # mostly in the checksum
        data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
    if chance.one_in(8):
        return chance.pick(("br", "zstd", "gzip, gzip", "identity", "compress", "")), data
    if chance.one_in(10):
        return chance.pick(("gzip", "deflate")), body
    names = ("deflate", "Deflate") if how in (_deflate, _raw_deflate) else ("gzip", "x-gzip", "GZIP")
    return chance.pick(names), data


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def _deflate(body: bytes) -> bytes:
    return zlib.compress(body)


def _raw_deflate(body: bytes) -> bytes:
    """Without the zlib wrapper: RFC 9110 §8.4.1.2 says that some servers do this."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def _two_members(body: bytes) -> bytes:
    """RFC 1952 §2.2: a gzip file is a series of members."""
    half = len(body) // 2
    return _gzip(body[:half]) + _gzip(body[half:])


def _bomb(body: bytes) -> bytes:
    return _gzip(body[:-1] + b"," + _BOMB)


_PACKERS: tuple[Callable[[bytes], bytes], ...] = (_gzip, _gzip, _gzip, _deflate, _raw_deflate, _two_members)
