"""Encryption at rest: what was sealed opens again in its place, and nowhere else."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshd.adapters.aesgcm_sealer import AesGcmSealer, KeyRingFault, new_key_line, parse_key_ring
from refreshd.domain.secret import Secret
from refreshd.ports.sealer import Undecryptable

A, B = new_key_line(), new_key_line()
KEY = base64.b64encode(bytes(range(32))).decode()


def sealer(*lines: str) -> AesGcmSealer:
    return AesGcmSealer(parse_key_ring("\n".join(lines), source="ring"))


class TestSealing:
    @given(plain=st.text(st.characters(codec=None)), context=st.text())
    def test_what_is_sealed_opens_again(self, plain: str, context: str) -> None:
        """Any text that a provider may have sent, half surrogate pairs included."""
        one = sealer(A)
        blob = one.seal(Secret(plain), context)
        assert plain == one.open(blob, context).reveal()

    def test_a_lone_surrogate_survives(self) -> None:
        """It is still the only refresh token."""
        one = sealer(A)
        assert "a\ud800b" == one.open(one.seal(Secret("a\ud800b"), "c"), "c").reveal()

    def test_the_same_text_is_never_sealed_alike(self) -> None:
        """A fresh nonce each time: equal tokens cannot be told from different ones."""
        one = sealer(A)
        assert 100 == len({one.seal(Secret("x"), "c") for _ in range(100)})

    @given(context=st.text())
    def test_a_moved_ciphertext_does_not_open(self, context: str) -> None:
        """Another row, column or environment: undecryptable."""
        one = sealer(A)
        with pytest.raises(Undecryptable):
            one.open(one.seal(Secret("x"), context + "\x1frow"), context)

    def test_every_cut_and_every_changed_byte_is_noticed(self) -> None:
        """A damaged disk gives a held credential, never another token and never a crash."""
        one = sealer(A)
        blob = one.seal(Secret("token"), "c")
        damaged = [blob[:length] for length in range(len(blob))]
        damaged += [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in range(len(blob))]
        damaged += [blob + b"x", b"\xff" * len(blob)]
        opened = 0
        for one_blob in damaged:
            with pytest.raises(Undecryptable):
                one.open(one_blob, "c")
            opened += 1
        assert len(damaged) == opened

    def test_the_first_key_seals_and_every_key_opens(self) -> None:
        """A rotation reads what is there; without the old key it says so."""
        old, both, new = sealer(A), sealer(B, A), sealer(B)
        blob = old.seal(Secret("x"), "c")
        assert Secret("x") == both.open(blob, "c")
        assert Secret("x") == new.open(both.seal(Secret("x"), "c"), "c")
        assert (B[:8], (B[:8], A[:8])) == (both.primary_key_id, tuple(both.key_ids))
        with pytest.raises(Undecryptable, match="not in the key ring"):
            new.open(blob, "c")

    def test_another_key_under_the_same_id_does_not_open(self) -> None:
        """An id is only a name."""
        blob = sealer(f"aaaaaaaa:{A[9:]}").seal(Secret("x"), "c")
        with pytest.raises(Undecryptable, match="damaged"):
            sealer(f"aaaaaaaa:{B[9:]}").open(blob, "c")


class TestKeyRings:
    def test_a_ring_may_have_comments_and_blank_lines(self) -> None:
        """People write down which key is which."""
        ring = parse_key_ring(f"# the keys\n\n  {A}  # of May\n\r\n{B}", source="ring")
        assert [A[:8], B[:8]] == list(ring.keys)
        assert A[:8] == ring.primary

    @pytest.mark.parametrize(
        "line",
        [
            KEY,
            f"ABCDEF01:{KEY}",
            f"abc:{KEY}",
            f"{KEY}:abcdef01",
            "abcdef01:",
            f"abcdef01:{KEY[:-4]}",
            f"abcdef01:{KEY}AAAA",
            f"abcdef01 {KEY}",
            f"abcdef01:{KEY[:-2]}é=",
            f"abcdef01:{KEY} {KEY}",
            f"\ufeffabcdef01:{KEY}",
        ],
    )
    def test_a_malformed_line_is_named_with_its_remedy_and_without_its_key(self, line: str) -> None:
        """The file, the line, what is expected, and the command that makes it; nothing of a key."""
        with pytest.raises(KeyRingFault) as caught:
            parse_key_ring(f"# first\n{line}", source="/etc/ring")
        text = str(caught.value)
        assert text.startswith("/etc/ring, line 2: ")
        assert "`refreshd keys new`" in text
        assert KEY[:12] not in text
        assert not re.search(r"[A-Za-z0-9+/]{20,}", text)

    def test_a_key_id_that_stands_twice_is_refused(self) -> None:
        """Which of the two would seal is nobody's guess."""
        with pytest.raises(KeyRingFault, match=r"ring, line 2: the key id \w+ stands twice; remove one"):
            parse_key_ring(f"{A}\n{A[:9]}{B[9:]}", source="ring")

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing"])
    def test_an_empty_ring_is_refused_with_the_remedy(self, text: str) -> None:
        """An empty file is not a ring without encryption."""
        with pytest.raises(KeyRingFault, match="`refreshd keys new` makes one"):
            parse_key_ring(text, source="ring")

    def test_a_ring_shows_no_key(self) -> None:
        """Not by repr, wherever it lands."""
        assert A[9:] not in repr(parse_key_ring(A, source="ring"))
