"""PostgreSQL databases are saved as of one instant while they are written to, and restored as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver.backup.archive import Writer
from onserver.backup.folder import Folder
from onserver.backup.manifest import About, Problem
from onserver.backup.postgresql import restore_postgresql, save_postgresql, without_password
from onserver.backup.reading import Reader, check
from onserver.backup.restoring import restore_beside
from onserver.backup.sources import Content, save
from onserver.errors import SourceFailed
from onserver.testing import wait_for
from tests.postgres import Postgres, postgres

NAME = "Shop[0001].onsb"

#: Two sessions move amounts between accounts until they are told to stop; each transfer is a transaction.
TABLES = """
CREATE TABLE account(name int PRIMARY KEY, balance int, note text);
INSERT INTO account SELECT n, 100, repeat(md5(n::text), 30) FROM generate_series(0, 4999) n;
CREATE TABLE transfer(n serial, giver int, taker int);
CREATE TABLE control(stop bool);
INSERT INTO control VALUES (false);
CREATE PROCEDURE churn() LANGUAGE plpgsql AS $$
DECLARE giver int; taker int;
BEGIN
  WHILE NOT (SELECT stop FROM control) LOOP
    giver := floor(random() * 5000); taker := floor(random() * 5000);
    PERFORM 1 FROM account WHERE name IN (giver, taker) ORDER BY name FOR UPDATE;
    UPDATE account SET balance = balance - 1 WHERE name = giver;
    UPDATE account SET balance = balance + 1 WHERE name = taker;
    INSERT INTO transfer(giver, taker) VALUES (giver, taker);
    COMMIT;
  END LOOP;
END $$;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        running.psql("postgres", "CREATE DATABASE shop")
        running.psql("shop", TABLES)
        yield running


@pytest.fixture(autouse=True)
def on_path(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{server.bin}:{os.environ['PATH']}")


def transfers(server: Postgres) -> int:
    return int(server.psql("shop", "SELECT count(*) FROM transfer"))


def archived(folder: Path, content: Content) -> list[Problem]:
    with Writer(Folder(folder), NAME) as writer:
        problems = save(writer, content, folder)
        writer.finish(About(server="shop"))
    return problems


def unpacked(folder: Path) -> Path:
    with Reader(Folder(folder), NAME, check(Folder(folder), NAME)) as reader:
        restore_beside(reader, folder / "out", only={"postgresql"})
    return folder / "out" / "Data" / "postgresql"


def test_a_database_that_is_written_to_is_saved_as_of_one_instant(server: Postgres, tmp_path: Path) -> None:
    writers = [server.start_psql("shop", "CALL churn()") for _ in range(2)]
    try:
        wait_for(lambda: transfers(server) > 100, what="transfers")
        before = transfers(server)
        problems = archived(tmp_path, Content(project=False, postgresql={"main": server.address("shop")}))
        wait_for(lambda: transfers(server) > before, what="transfers that go on")
        assert [writer.poll() for writer in writers] == [None, None]
    finally:
        server.psql("shop", "UPDATE control SET stop = true")
        assert [writer.wait(60) for writer in writers] == [0, 0]
    after = transfers(server)
    assert not problems
    dump = unpacked(tmp_path) / "main.dump"
    server.psql("postgres", "CREATE DATABASE twin")
    restore_postgresql(dump, server.address("twin"))
    assert server.psql("twin", "SELECT sum(balance), count(*) FROM account") == "500000|5000"
    count, moved = server.psql(
        "twin", "SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM transfer WHERE giver <> taker)"
    ).split("|")
    assert before <= int(count) <= after
    assert int(moved) <= int(count)
    # each account is what its transfers say
    wrong = """SELECT count(*) FROM account a WHERE balance <> 100
               - (SELECT count(*) FROM transfer WHERE giver = a.name)
               + (SELECT count(*) FROM transfer WHERE taker = a.name)"""
    assert server.psql("twin", wrong) == "0"


def test_a_restore_into_a_database_with_content_is_all_or_nothing(server: Postgres, tmp_path: Path) -> None:
    server.psql("postgres", "CREATE DATABASE small")
    server.psql("small", "CREATE TABLE t(n int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    address = server.address("small")
    archived(tmp_path, Content(project=False, postgresql={"small": address}))
    dump = unpacked(tmp_path) / "small.dump"
    server.psql("small", "UPDATE t SET n = n + 10; CREATE TABLE other(n int)")
    with pytest.raises(SourceFailed, match="already exists") as refused:
        restore_postgresql(dump, address)
    assert refused.value.source == address
    assert server.psql("small", "SELECT sum(n) FROM t") == "23"
    restore_postgresql(dump, address, replace=True)
    assert server.psql("small", "SELECT sum(n) FROM t") == "3"
    assert server.psql("small", "SELECT count(*) FROM other") == "0"
    data = bytearray(dump.read_bytes())
    dump.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceFailed, match="pg_restore ended with 1"):
        restore_postgresql(dump, address, replace=True)
    assert server.psql("small", "SELECT sum(n) FROM t") == "3"


def test_a_database_that_is_not_there_makes_a_partial_backup(server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("n")
    missing = server.address("missing")
    content = Content(files=("note.txt",), postgresql={"gone": missing, "shop": server.address("shop")})
    (problem,) = archived(tmp_path, content)
    assert problem.source == missing
    assert 'database "missing" does not exist' in problem.problem
    assert [path.name for path in unpacked(tmp_path).iterdir()] == ["shop.dump"]


def test_a_dump_that_breaks_off_is_not_restored(server: Postgres, tmp_path: Path) -> None:
    server.psql("postgres", "CREATE DATABASE broken")
    server.psql("broken", "CREATE TABLE t AS SELECT n, repeat(md5(n::text), 30) x FROM generate_series(0, 4999) n")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pg_dump"
    program.write_text(f'#!/bin/sh\n"{server.bin}/pg_dump" "$@" | head -c 100000\necho "the disk failed" >&2\nexit 7\n')
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"  # the fixture puts it back
    (problem,) = archived(tmp_path, Content(project=False, postgresql={"broken": server.address("broken")}))
    assert problem.problem == "pg_dump ended with 7: the disk failed"
    manifest = check(Folder(tmp_path), NAME)
    assert [member.name for member in manifest.members] == ["format.json", "postgresql/broken.dump/00001.bin"]
    assert list(manifest.problems) == [problem]
    assert not unpacked(tmp_path).exists()


def test_a_machine_without_the_programs_is_told(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = archived(tmp_path, Content(project=False, postgresql={"main": server.address("shop")}))
    assert problem.problem == "`pg_dump` is not installed (on Debian: postgresql-client)"


def test_an_abort_ends_the_dump(server: Postgres, tmp_path: Path) -> None:
    class Aborted(Exception):
        pass

    with pytest.raises(Aborted), Writer(Folder(tmp_path), NAME) as writer:

        def add(name: str, data: bytes, *, modified: int = 0) -> None:
            raise Aborted

        writer.add_bytes = add  # type: ignore[method-assign]
        save_postgresql(writer, "postgresql/main.dump", server.address("shop"))
    activity = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
    wait_for(lambda: server.psql("postgres", activity) == "0", what="the dump to end")


# ---- passwords

PASSWORD = "s:e\\c r%t"


def test_a_password_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres(PASSWORD) as server:
        told = tmp_path / "told"
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "pg_dump"
        program.write_text(f'#!/bin/sh\necho "$@" >> {told}\nexec "{server.bin}/pg_dump" "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        quoted = PASSWORD.replace("%", "%25").replace(":", "%3A").replace("\\", "%5C").replace(" ", "%20")
        key_value = (
            f"host={server.folder} dbname=postgres user=boss password='{PASSWORD.replace(chr(92), chr(92) * 2)}'"
        )
        for address in (server.address("postgres", password=quoted), key_value):
            assert not archived(tmp_path, Content(project=False, postgresql={"main": address}))
            manifest = check(Folder(tmp_path), NAME)
            assert "s:e" not in str(manifest)
            assert quoted not in str(manifest)
            (tmp_path / NAME).unlink()
        commands = told.read_text()
        assert commands.count("--no-password") == 2
        assert "s:e" not in commands
        assert quoted not in commands
        wrong = server.address("postgres", password="wrong")
        (problem,) = archived(tmp_path, Content(project=False, postgresql={"main": wrong}))
        assert "password authentication failed" in problem.problem
        assert "wrong" not in problem.source


def test_addresses_lose_nothing_but_their_password() -> None:
    for address, public in (
        ("postgresql://ann:secret@db:5432/shop?sslmode=require", "postgresql://ann@db:5432/shop?sslmode=require"),
        ("postgresql://ann@db/shop", "postgresql://ann@db/shop"),
        ("postgresql:///shop", "postgresql:///shop"),
        ("postgresql://[::1]:5433/shop", "postgresql://[::1]:5433/shop"),
        ("postgresql://ann:p@ss@[::1]:5433/shop", "postgresql://ann@[::1]:5433/shop"),
        ("host=db password=secret dbname=shop", "host=db dbname=shop"),
        ("dbname=shop password = 'with \\' and space'", "dbname=shop"),
        ("service=shop", "service=shop"),
    ):
        assert without_password(address) == public
