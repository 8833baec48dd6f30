"""A key ring that changes while we run: taken up when it is ours, refused when it is not, and never half written."""

import stat
from pathlib import Path

import pytest

from refreshd.adapters.aesgcm_sealer import KeyRingFault, new_key_line
from refreshd.adapters.key_ring_editing import add_key, retire_keys
from refreshd.adapters.key_ring_file import KeyRingFile, read_key_ring
from refreshd.domain.secret import Secret
from refreshd.ports.sealer import Undecryptable

TOKEN = Secret("token")


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "encryption.key"
    path.touch(mode=0o600)
    path.write_text(f"# mine\n{new_key_line()}  # the first\n")
    return path


class TestLooking:
    def test_a_new_key_above_is_told_and_seals_only_when_asked_to(self, ring: Path) -> None:
        """Whoever seals decides when to begin: the store must know the key first."""
        sealer = KeyRingFile(ring)
        old = sealer.primary_key_id
        new = add_key(ring)
        assert new == sealer.look().first
        assert old == sealer.primary_key_id
        sealer.seal_with(new)
        assert new == sealer.primary_key_id
        assert TOKEN == KeyRingFile(ring).open(sealer.seal(TOKEN, "c"), "c")

    def test_a_ciphertext_of_an_unknown_key_sends_us_to_the_file(self, ring: Path) -> None:
        """A command seals with the new key as soon as it stands there."""
        sealer = KeyRingFile(ring)
        add_key(ring)
        blob = KeyRingFile(ring).seal(TOKEN, "c")
        assert TOKEN == sealer.open(blob, "c")

    def test_a_key_that_is_nowhere_is_undecryptable(self, ring: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text(new_key_line())
        with pytest.raises(Undecryptable):
            KeyRingFile(ring).open(KeyRingFile(other).seal(TOKEN, "c"), "c")

    def test_a_key_taken_away_early_opens_until_the_end(self, ring: Path) -> None:
        """An early hand costs nothing while we run: the rows move to the key that is left."""
        sealer = KeyRingFile(ring)
        blob = sealer.seal(TOKEN, "c")
        new = add_key(ring)
        sealer.look()
        sealer.seal_with(new)
        ring.write_text("".join(line for line in ring.read_text().splitlines(keepends=True) if line.startswith(new)))
        assert ("", new) == (sealer.look().fault, sealer.primary_key_id)
        assert TOKEN == sealer.open(blob, "c")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "holds no key"),
            ("rubbish", "malformed"),
            (f"0badc0de:{'A' * 43}=", "no longer holds the key"),
        ],
    )
    def test_a_ring_that_is_not_ours_any_more_is_refused(self, ring: Path, text: str, said: str) -> None:
        """Half written, emptied, or another environment's: what we have goes on, and the fault is told."""
        sealer = KeyRingFile(ring)
        blob = sealer.seal(TOKEN, "c")
        first = sealer.primary_key_id
        ring.write_text(text)
        looked = sealer.look()
        assert said in looked.fault
        assert (first, first) == (looked.first, sealer.primary_key_id)
        assert TOKEN == sealer.open(blob, "c")

    def test_a_key_with_other_bytes_is_refused(self, ring: Path) -> None:
        """The same id with another key would make rows that only one of the two opens."""
        sealer = KeyRingFile(ring)
        ring.write_text(f"{sealer.primary_key_id}:{new_key_line().partition(':')[2]}\n")
        assert "other bytes" in sealer.look().fault

    def test_a_fault_ends_when_the_file_is_mended(self, ring: Path) -> None:
        sealer = KeyRingFile(ring)
        good = ring.read_text()
        ring.unlink()
        assert "no key ring" in sealer.look().fault
        ring.write_text(good)
        assert "" == sealer.look().fault


class TestEditing:
    def test_a_new_key_stands_above_and_everything_else_stays(self, ring: Path) -> None:
        """Comments, order and mode of the file included."""
        before = ring.read_text().splitlines()
        new = add_key(ring)
        lines = ring.read_text().splitlines()
        assert (before[0], before[1]) == (lines[0], lines[2])
        assert lines[1].startswith(new)
        assert 0o600 == stat.S_IMODE(ring.stat().st_mode)
        assert [ring] == list(ring.parent.iterdir())

    def test_what_a_crash_left_behind_is_no_obstacle(self, ring: Path) -> None:
        """A crash before the rename leaves a file that nobody reads; the next change replaces it."""
        (ring.parent / ".encryption.key.new").write_text("half a k")
        new = add_key(ring)
        assert new == read_key_ring(ring).primary
        assert [ring] == list(ring.parent.iterdir())

    def test_a_link_stays_a_link(self, ring: Path, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(ring)
        new = add_key(link)
        assert link.is_symlink()
        assert new == read_key_ring(ring).primary

    def test_retired_keys_are_kept_beside_the_ring(self, ring: Path) -> None:
        """A copy of the store from before still needs them; twice the same one does no harm."""
        old = read_key_ring(ring).primary
        new = add_key(ring)
        retired = retire_keys(ring, [old])
        retire_keys(ring, [old])
        assert [new] == list(read_key_ring(ring).keys)
        assert [old] == list(read_key_ring(retired).keys)
        assert 0o600 == stat.S_IMODE(retired.stat().st_mode)

    def test_a_place_that_cannot_be_written_is_refused_with_the_way_out(self, ring: Path) -> None:
        """As in $CREDENTIALS_DIRECTORY or a mounted Secret: nothing changed, and the steps named."""
        before = ring.read_text()
        blocked = ring.parent / ".encryption.key.new"
        blocked.mkdir()  # stands in for a read-only directory, which root would write to nevertheless
        with pytest.raises(KeyRingFault, match=r"cannot be changed here.*LoadCredential.*restart the daemon"):
            add_key(ring)
        assert before == ring.read_text()
