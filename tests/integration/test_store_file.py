"""The SQLite file: who may read it, who may run on it, and what stands in it before and after a migration."""

import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from refreshd.adapters.sql import migrate as migration
from refreshd.adapters.sql.engine import RunLock, SqlEngines, StoreRefused, filesystem_of, prepare_file, sqlite_path
from refreshd.adapters.sql.identity import identify
from refreshd.adapters.sql.migrate import Migrated, migrate, schema_version
from refreshd.adapters.sql.rows import RowCodec
from refreshd.adapters.sql.schema import HEAD, metadata
from refreshd.adapters.sql.thread import StoreThread
from refreshd.domain.credential import Lane
from refreshd.domain.secret import Secret
from refreshd.ports.sealer import Undecryptable
from refreshd.ports.store import StoreUnavailable
from tests.contract.stores import SqliteBed, grant
from tests.fakes import START

BRIEF = timedelta(seconds=0.2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "refreshd.db"


@pytest.fixture
def engines(path: Path) -> Iterator[SqlEngines]:
    """An empty database, prepared as the product does it."""
    prepare_file(path)
    opened = SqlEngines(f"sqlite:///{path}", busy_timeout=BRIEF)
    yield opened
    opened.close()


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


class TestPermissions:
    def test_everything_is_the_owners_alone(self, path: Path, engines: SqlEngines) -> None:
        """Database, -wal, -shm and lock 0600, the directory 0700, under the laxest umask."""
        before = os.umask(0)
        try:
            prepare_file(path.parent.parent / "fresh" / "refreshd.db")
            migrate(engines, now=START)
            with RunLock(path), engines.write.begin() as connection:
                connection.execute(text("CREATE TABLE probe (x)"))
                beside = {name: mode(path.with_name(path.name + name)) for name in ("", "-wal", "-shm", ".lock")}
        finally:
            os.umask(before)
        assert dict.fromkeys(("", "-wal", "-shm", ".lock"), "0o600") == beside
        assert "0o700" == mode(path.parent)
        assert ("0o700", "0o600") == (
            mode(path.parent.parent / "fresh"),
            mode(path.parent.parent / "fresh/refreshd.db"),
        )

    @pytest.mark.parametrize("name", ["refreshd.db", "refreshd.db-wal", "refreshd.db-shm"])
    @pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
    def test_a_file_open_to_others_is_refused_with_the_remedy(self, tmp_path: Path, name: str, bits: int) -> None:
        """The text names the file and the command that mends it; following it is enough."""
        database, loose = tmp_path / "refreshd.db", tmp_path / name
        loose.touch()
        loose.chmod(bits)
        with pytest.raises(StoreRefused) as caught:
            prepare_file(database)
        found = re.search(r"run: (chmod 600 \S+)", str(caught.value))
        assert found is not None
        assert f"chmod 600 {loose}" == found[1]
        subprocess.run(found[1].split(), check=True)
        prepare_file(database)

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://u:hush@host/x"])
    def test_a_url_without_a_file_is_refused(self, url: str) -> None:
        """In memory, every token would be lost; and no password stands in the refusal."""
        with pytest.raises(StoreRefused) as caught:
            sqlite_path(url)
        assert "hush" not in str(caught.value)


MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /srv rw shared:2 - nfs4 server:/export rw
31 30 254:2 / /srv/local rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:42 / /mnt/büro rw - fuse.sshfs me@host: rw
34 22 0:43 / /mnt/back\134slash rw - 9p host rw
35 22 254:3 / /over rw - nfs server:/x rw
36 22 254:4 / /over rw - ext4 /dev/sdc rw
"""


class TestPlaces:
    @pytest.mark.parametrize(
        ("place", "expected"),
        [
            ("/var/lib/refreshd", "ext4"),
            ("/srv/state", "nfs4"),
            ("/srv", "nfs4"),
            ("/srvother", "ext4"),
            ("/srv/local/state", "xfs"),
            ("/mnt/with space/state", "cifs"),
            ("/mnt/büro/state", "fuse.sshfs"),
            ("/mnt/back\\slash", "9p"),
            ("/over/state", "ext4"),
        ],
    )
    def test_the_innermost_mount_counts(self, tmp_path: Path, place: str, expected: str) -> None:
        """Escaped, nested, mounted over, and a name that only begins alike."""
        mounts = tmp_path / "mountinfo"
        mounts.write_text(MOUNTS, encoding="utf-8")
        assert expected == filesystem_of(Path(place), mounts)

    def test_a_system_that_does_not_tell_is_trusted(self, tmp_path: Path) -> None:
        """No mountinfo, no refusal: macOS."""
        assert "" == filesystem_of(tmp_path, tmp_path / "nothing")

    @pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph"])
    def test_a_network_file_system_is_refused(self, tmp_path: Path, kind: str) -> None:
        """WAL shares memory between processes of one host."""
        mounts = tmp_path / "mountinfo"
        mounts.write_text(f"22 1 0:1 / / rw - {kind} server rw\n")
        with pytest.raises(StoreRefused, match=f"network file system \\({kind}\\)"):
            prepare_file(tmp_path / "state" / "refreshd.db", mounts)
        assert not (tmp_path / "state" / "refreshd.db").exists()


_HOLDER = """
import sys
from pathlib import Path
from refreshd.adapters.sql.engine import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class TestRunLock:
    def test_a_second_run_is_refused_until_the_first_is_killed(self, path: Path, engines: SqlEngines) -> None:
        """The refusal names the process; kill -9 leaves no stale lock; commands work beside a run all the time."""
        migrate(engines, now=START)
        with subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert "held\n" == holder.stdout.readline()
            assert RunLock(path).is_held
            with pytest.raises(StoreRefused, match=rf"process {holder.pid}\).*{re.escape(str(path))}"), RunLock(path):
                pass
            with engines.write.begin() as connection:
                connection.execute(text("DELETE FROM credential"))
            holder.send_signal(signal.SIGKILL)
        assert not RunLock(path).is_held
        with RunLock(path) as lock:
            assert lock.is_held
        assert not lock.is_held

    def test_asking_makes_no_file(self, path: Path) -> None:
        """Looking whether somebody runs leaves no trace."""
        path.parent.mkdir()
        assert not RunLock(path).is_held
        assert [] == list(path.parent.iterdir())


class TestConnections:
    def test_every_connection_is_durable(self, engines: SqlEngines) -> None:
        """WAL and synchronous=FULL on each one, of both engines: NORMAL may roll back a commit at power loss."""
        for engine in (engines.write, engines.read):
            with engine.connect() as one, engine.connect() as two:
                for connection in (one, two):
                    pragmas = ("journal_mode", "synchronous", "busy_timeout")
                    found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
                    assert ["wal", 2, 200] == found
                    connection.rollback()  # the write engine's BEGIN IMMEDIATE would keep the other out

    def test_the_reading_engine_cannot_write(self, engines: SqlEngines) -> None:
        """A slip in a query of figures cannot change a row."""
        migrate(engines, now=START)
        with engines.read.connect() as connection, pytest.raises(SQLAlchemyError, match="readonly"):
            connection.execute(text("DELETE FROM credential"))

    async def test_a_locked_store_is_unavailable(self, path: Path, engines: SqlEngines) -> None:
        """Another writer held it for longer than the busy time-out: a value of the port, to be tried again."""
        migrate(engines, now=START)
        thread = StoreThread(engines.write, "test")
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match="locked"):
                    await thread.run(lambda connection: connection.execute(text("DELETE FROM credential")))
                other.execute("ROLLBACK")
            await thread.run(lambda connection: connection.execute(text("DELETE FROM credential")))
        finally:
            thread.close()

    async def test_a_full_store_is_unavailable_without_parameters(self, engines: SqlEngines) -> None:
        """The text is SQLite's; the row that did not fit, with its tokens, is not in it."""
        migrate(engines, now=START)
        thread = StoreThread(engines.write, "test")
        fill = text("INSERT INTO fingerprint VALUES (:digest, 'the-secret', 1)")
        try:
            await thread.run(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1"))
            with pytest.raises(StoreUnavailable) as caught:
                await thread.run(lambda connection: connection.execute(fill, {"digest": os.urandom(200_000)}))
        finally:
            thread.close()
        assert "OperationalError: database or disk is full" == str(caught.value)
        assert caught.value.__cause__ is None

    async def test_a_full_disk_is_unavailable_and_heals(self, small_disk: "SmallDisk") -> None:
        """The same on a real file system without room; once there is room, the same thread goes on."""
        database = small_disk.path / "refreshd.db"
        prepare_file(database)
        engines = SqlEngines(f"sqlite:///{database}", busy_timeout=BRIEF)
        migrate(engines, now=START)
        thread = StoreThread(engines.write, "test")
        statement = text("INSERT INTO fingerprint VALUES (:digest, 'the-secret', 1)")

        async def fill(rows: int) -> None:
            for _ in range(rows):
                await thread.run(lambda connection: connection.execute(statement, {"digest": os.urandom(50_000)}))

        try:
            with pytest.raises(StoreUnavailable) as caught:
                await fill(20)
            assert "the-secret" not in str(caught.value)
            small_disk.grow()
            await fill(5)
        finally:
            thread.close()
            engines.close()

    async def test_a_file_that_is_no_database_is_unavailable(self, garbage: SqlEngines) -> None:
        """Not a driver's exception that nobody expects: in the daemon a value of the port, elsewhere SQLAlchemy's."""
        thread = StoreThread(garbage.write, "test")
        try:
            with pytest.raises(StoreUnavailable, match="not a database"):
                await thread.run(schema_version)
            with pytest.raises(SQLAlchemyError, match="not a database"):
                garbage.read.connect()
        finally:
            thread.close()


class SmallDisk:
    """A file system of half a megabyte, until it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=4m", self.path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield SmallDisk(place)
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def garbage(path: Path) -> Iterator[SqlEngines]:
    """A file that was overwritten by something else."""
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    path.chmod(0o600)
    prepare_file(path)
    engines = SqlEngines(f"sqlite:///{path}", busy_timeout=BRIEF)
    yield engines
    engines.close()


class TestMigration:
    def test_migrating_an_empty_file_gives_the_tables_that_the_code_reads(self, engines: SqlEngines) -> None:
        """Migrations and `schema.py` say the same, and the last script is the version we call ours."""
        assert Migrated(before=None, after=HEAD) == migrate(engines, now=START)
        with engines.read.connect() as connection:
            context = MigrationContext.configure(connection)
            assert [] == compare_metadata(context, metadata)
            assert HEAD == schema_version(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        assert HEAD == ScriptDirectory.from_config(config).get_current_head()

    def test_migrating_again_changes_nothing(self, path: Path, engines: SqlEngines) -> None:
        """A start that finds its schema copies nothing."""
        migrate(engines, now=START)
        assert Migrated(before=HEAD, after=HEAD) == migrate(engines, now=START)
        assert [] == list(path.parent.glob("*before*"))

    def test_a_newer_schema_is_refused_and_left_alone(self, path: Path, engines: SqlEngines) -> None:
        """An older program never touches what a newer one wrote, and makes no copy of it either."""
        migrate(engines, now=START)
        with engines.write.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreRefused, match=r"9999.*install the newer refreshd"):
            migrate(engines, now=START)
        with engines.read.connect() as connection:
            assert "9999" == schema_version(connection)
        assert [] == list(path.parent.glob("*before*"))

    def test_a_copy_is_whole_and_private(self, path: Path, engines: SqlEngines) -> None:
        """What is kept before an upgrade holds every row, also those still in the -wal, for its owner alone."""
        migrate(engines, now=START)
        with engines.write.begin() as connection:
            connection.execute(text("INSERT INTO client_fact VALUES ('acme', 1)"))
        copy = engines.copied("before-test")
        assert path.parent == copy.parent
        assert "refreshd.db.before-test" == copy.name
        assert "0o600" == mode(copy)
        with closing(sqlite3.connect(copy)) as connection:
            assert [("acme", 1)] == connection.execute("SELECT * FROM client_fact").fetchall()
            assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()

    def test_a_copy_that_fails_is_refused_in_words(self, engines: SqlEngines) -> None:
        """No room, no right, or a file in the way: no upgrade without a copy, and the reading engine still cannot write."""
        migrate(engines, now=START)
        engines.copied("before-test")
        with pytest.raises(StoreRefused, match="could not be copied"):
            engines.copied("before-test")
        with engines.read.connect() as connection, pytest.raises(DBAPIError, match="readonly"):
            connection.execute(text("DELETE FROM credential"))

    def test_an_older_store_is_copied_before_it_is_upgraded(self, path: Path, engines: SqlEngines) -> None:
        """An upgrade that fails leaves the store as it was, and the copy beside it."""
        migrate(engines, now=START)
        with engines.write.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        with pytest.raises(Exception, match="0000"):  # Alembic knows no such revision: the upgrade itself fails
            migrate(engines, now=START)
        [copy] = path.parent.glob("*.before-*")
        with closing(sqlite3.connect(copy)) as connection:
            assert [("0000",)] == connection.execute("SELECT version_num FROM alembic_version").fetchall()
        with engines.read.connect() as connection:
            assert "0000" == schema_version(connection)

    def test_the_first_schema_becomes_todays_with_its_rows(self, path: Path, engines: SqlEngines) -> None:
        """An open attempt and its token survive; each lane of then becomes the one that means the same now."""
        upgrade_to("0001", engines)
        with engines.write.begin() as connection:
            for lane in range(3):
                connection.execute(
                    text(
                        "INSERT INTO credential (id, client, family, scope, refresh_token, generation, attempt_id, lane, "
                        "login_at, rotated_at, revision, created_at, updated_at) "
                        "VALUES (:id, 'acme', 'f', '', x'01', 7, 'open', :lane, 1, 1, 1, 1, 1)"
                    ),
                    {"id": f"lane{lane}", "lane": lane},
                )
        assert "0001" == migrate(engines, now=START).before
        with engines.read.connect() as connection:
            rows = connection.execute(
                text("SELECT lane, attempt_id, refresh_token, generation FROM credential ORDER BY id")
            )
            kept = ("open", b"\x01", 7)
            expected = [(Lane.IN_DOUBT, *kept), (Lane.ORDINARY, *kept), (Lane.CONFIRMING, *kept)]
            assert expected == [tuple(row) for row in rows]
            assert [] == compare_metadata(MigrationContext.configure(connection), metadata)
        assert 1 == len(list(path.parent.glob("*.before-*")))


def upgrade_to(revision: str, engines: SqlEngines) -> None:
    """Bring an empty file to a schema of the past."""
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engines.write.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


class TestEnvironments:
    def test_a_store_of_another_environment_is_refused(self, tmp_path: Path) -> None:
        """Two environments on one store would spend the same refresh tokens; both are named."""
        with (
            SqliteBed(tmp_path) as bed,
            pytest.raises(StoreRefused, match=r"'production'.*'staging'"),
            bed.engines.write.begin() as connection,
        ):
            identify(connection, bed.sealer, environment="staging", now=START)

    def test_a_ciphertext_does_not_open_elsewhere(self, tmp_path: Path) -> None:
        """The same key, another environment, column or row: undecryptable, even if somebody edits the store's own name."""
        with SqliteBed(tmp_path) as bed:
            bed.add(grant("a"))
            sealed = bed.row("a")["refresh_token"]
            assert Secret("refresh-a") == bed.codec.open(sealed, "refresh_token", "a")
            for environment, column, name in (
                ("staging", "refresh_token", "a"),
                ("production", "access_token", "a"),
                ("production", "refresh_token", "b"),
            ):
                with pytest.raises(Undecryptable):
                    RowCodec(bed.sealer, environment).open(sealed, column, name)
            with bed.engines.write.begin() as connection:
                connection.execute(text("UPDATE store SET environment = 'staging'"))
            with pytest.raises(StoreRefused, match="cannot be decrypted"), bed.engines.write.begin() as connection:
                identify(connection, bed.sealer, environment="staging", now=START)

    def test_no_token_stands_in_the_files(self, tmp_path: Path) -> None:
        """A stolen disk without the key ring holds nothing to present."""
        with SqliteBed(tmp_path) as bed:
            bed.add(grant("a", "the-refresh-token", access_token=Secret("the-access-token")))
            files = [one.read_bytes() for one in tmp_path.iterdir() if one.name.startswith("refreshd.db")]
        assert len(files) >= 2
        assert not any(b"the-refresh-token" in one or b"the-access-token" in one for one in files)
