"""Every error keeps its facts through pickle and JSON, says what to do next, and has a code of its own."""

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from onserver import errors
from onserver.errors import OnServerError

AT = datetime(2026, 11, 25, 14, 2, 11, tzinfo=UTC)

#: One of each, with every fact given, and its whole text.
EXAMPLES: list[tuple[Any, str]] = [
    (
        errors.ProjectNotFound(),
        "No project: no `config/onserver.toml` in this folder or above it. `onserver new NAME` makes one; "
        "`--project DIR` or ONSERVER_PROJECT points to one.",
    ),
    (errors.ImportFailed("tasks.shop", "NameError: no x", "tasks/shop.py"), "`tasks/shop.py` cannot be imported: Na"),
    (
        errors.UnknownSetting("process.delivries", near=("deliveries",)),
        "Unknown setting `process.delivries` in `config/onserver.toml`. Did you mean `deliveries`?",
    ),
    (
        errors.BadSetting("process.deliveries", 0, "must be at least 1", "config/onserver.toml", 3),
        "Setting `process.deliveries` is 0 in `config/onserver.toml` line 3, but must be at least 1. What it",
    ),
    (
        errors.BadSettingsFile("config/onserver.toml", "Expected '=' (at line 2, column 5)"),
        "`config/onserver.toml` is no T",
    ),
    (errors.BadDeclaration("shop.f", "is a coroutine", "Use def."), "`shop.f` is a coroutine. Use def."),
    (errors.MissingExtra("demo", "vega_datasets"), "`vega_datasets` is not installed. `pip install 'onserver[demo]'`"),
    (
        errors.NoSigningKey(".onserver/keys.json"),
        "No signing key: there is no `.onserver/keys.json`. `onserver new` and ",
    ),
    (errors.RolesFileError("no such role", line=4), "`config/roles.json` line 4: no such role."),
    (errors.RoleNotFound("clark", ["clerk"]), "There is no role or privilege `clark`. Did you mean `clerk`? See all:"),
    (errors.KeyNotFound("3f2a", ["9c41"]), "There is no signing key `3f2a`. There is `9c41`; see `onserver keys ls`."),
    (
        errors.KeyInUse("3f2a", total=3, processes=[7, 9]),
        "Key `3f2a` cannot be retired: 3 processes name it: #7, #9, ….",
    ),
    (errors.KeyInUse("3f2a", "new messages are signed with it"), "Key `3f2a` cannot be retired: new messages are "),
    (
        errors.NotConnected(),
        "This program is not connected to a server. Run it inside a project, or call `Server.load(…)` or "
        "`Server(name, redis=…)` first.",
    ),
    (
        errors.NotConnected(True),
        "This program is a remote client: it has no server of its own, and cannot reach that of its client. "
        "`client.execute_on_server(…)` starts a process there; a server method does all else there.",
    ),
    (
        errors.NotStandalone("shop"),
        "Server `shop` has workers, which run its hooks: they are fired by hand in a standalone program only. "
        "`Server.standalone()` opens one; in a test `onserver.fire(…)` does the same.",
    ),
    (
        errors.DuplicateName("shop.add", "tasks/shop.py", "tasks/two.py"),
        "Two procedures are named `shop.add`: tasks/shop.py and tasks/two.py. Give one of them another `name=`.",
    ),
    (
        errors.UnsafeRedis("redis://h:1/0", policy="allkeys-lru"),
        "This Redis may evict keys (`maxmemory-policy allkeys-lru`): locks and processes could vanish. "
        "`CONFIG SET maxmemory-policy noeviction`.",
    ),
    (errors.UnsafeRedis("redis://h:1/0", version="6.2"), "redis://h:1/0 is version 6.2; onserver needs Redis 7.0"),
    (
        errors.WrongLayout("shop", 2, 1),
        "The keys of server `shop` are in layout 2; this release works with 1. Use the onserver that last ran here,",
    ),
    (
        errors.WrongLayout("shop", 1, 2),
        "The keys of server `shop` are in layout 1; this release works with 2. `onserver migrate` brings them there.",
    ),
    (
        errors.WrongLayout("shop", -2, 2),
        "The keys of server `shop` are being brought into layout 2. `onserver migrate` brings them there, or goes on.",
    ),
    (
        errors.UnsafeBind("0.0.0.0:8765"),
        "Refusing to serve the admin page on 0.0.0.0:8765 without authentication. Use `--bind 127.0.0.1:8765`, "
        "`onserver users add`, `--behind-proxy ADDR`, or `admin.oidc_issuer`.",
    ),
    (errors.TokenNotFound("deploy"), "There is no token `deploy`. `onserver admin token ls` lists them."),
    (errors.NotDone("member.drain", "`w1` is the only worker"), "`member.drain` cannot be done: `w1` is the only "),
    (errors.ActionNotFound("process.stop"), "There is no action `process.stop`."),
    (
        errors.ActionRefused("process.abort", "nothing can be changed here, it is read-only"),
        "`process.abort` is refused: nothing can be changed here, it is read-only.",
    ),
    (
        errors.BadField("process.abort", "process", "is `x`, which is no number"),
        "Field `process` of `process.abort` is `x`, which is no number.",
    ),
    (
        errors.NotConfirmed("queue.purge", "typed", "mail"),
        "`queue.purge` has to be confirmed: mail. Send `confirm` with the value `mail`.",
    ),
    (
        errors.LoginTooOld("backup.restore"),
        "`backup.restore` cannot be undone, and the login is older than five minutes. Log in again.",
    ),
    (
        errors.BrokerUnavailable("redis://127.0.0.1:6390/0", 3, 3.0),
        "redis://127.0.0.1:6390/0 refused the connection (3 tries in 3.0 s). Is it running? `onserver dev` starts one.",
    ),
    (errors.NoRedis("redis-server 6.2 is too old"), "No Redis to start: no wheel with a server binary is installed"),
    (
        errors.MemberFenced(17, "web-2", AT, 12.0),
        "Member 17 (web-2) was declared dead at 14:02:11 after 12 s of silence: this write was refused. "
        "It joins again under a new number.",
    ),
    (
        errors.ProcedureNotFound("ad", ("add",), 41),
        "No procedure `ad` is registered (41 are; the list outlives its workers). Did you mean `add`? "
        "See all: `onserver ps --procedures`.",
    ),
    (
        errors.ScheduleNotFound("nightli", ["nightly"]),
        "There is no schedule `nightli`. Did you mean `nightly`? See all: `onserver schedule ls`.",
    ),
    (
        errors.BadEvent("worker.dead", "that name is onserver's own"),
        "Event `worker.dead` was not told: that name is onserver's own.",
    ),
    (
        errors.BadArguments("add", "misses `y`", "add(x: int, y: int) -> int"),
        "`add()` misses `y`: its signature is `add(x: int, y: int) -> int`. Nothing was sent.",
    ),
    (
        errors.NotSendable("Argument when", "datetime.timezone", advice="Send its name as text."),
        "Argument `when` is a `datetime.timezone`, which cannot be sent. Send its name as text.",
    ),
    (errors.NotSendable('rates["a b"]', problem="is too deep"), '`rates["a b"]` is too deep.'),
    (errors.ProcessNotFound(1042), "No process #1042: it never was, or its record has expired."),
    (
        errors.ProcessNotFound("rendr", ["render"]),
        "No process that lives is named `rendr`, or several are. Did you mean render?",
    ),
    (
        errors.CallNotFound("0a" * 16),
        "No call `0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a`: it never came, or how it ended is no longer kept. "
        "Ends of calls are kept for `process.keep_seconds`, and until their client has them.",
    ),
    (errors.ProcessNotFound(), "No process is running here. Ask for it in what a procedure or a hook calls."),
    (errors.AlreadyRunning("totals", 1042, AT), "`totals` is running as #1042 since 14:02:11; nothing was started."),
    (
        errors.ProcessNotStarted("shop.bill"),
        "`shop.bill` has not been started: the transaction that it waits for has not committed. It is put once that",
    ),
    (
        errors.ProcessNotStarted("shop.bill", "its transaction has committed, and then KeyError: 1"),
        "`shop.bill` has not been started: its transaction has committed, and then KeyError: 1. Start it again; with a",
    ),
    (
        errors.ProcedureFailed(7, "shop.add", "ValueError", "no", "Traceback: line 1\n"),
        "#7 `shop.add` raised ValueError: no\n\nRemote traceback:\nTraceback: line 1",
    ),
    (errors.ProcessTimeout(7, 5.0, "running"), "#7 gave no result within 5 s and is running. It goes on;"),
    (
        errors.ProcessTimeout(0, 5.0, call="shop.total", call_id="0" * 32),
        "Remote call `shop.total` gave no result within 5 s. It goes on; "
        "`client.fetch('00000000000000000000000000000000').result()` waits again.",
    ),
    (errors.ProcessTimeout(7, 5.0, limit="timeout"), "#7 was ended: it reached its timeout of 5 s."),
    (errors.ProcessTimeout(7, 5.0, limit="expires"), "#7 never began: nobody could run it within its expires of 5 s."),
    (errors.ProcessAborted(7, "ann", "wrong month"), "#7 was aborted by ann: wrong month."),
    (errors.ProcessAborted(0, "ann", call="shop.total"), "Remote call `shop.total` was aborted by ann."),
    (errors.ProcessDead(0, 3, call="shop.total"), "Remote call `shop.total` was dead-lettered after 3 deliveries."),
    (
        errors.ProcessLost(0, "web-2", call="shop.total"),
        "Remote call `shop.total` is lost: worker web-2 stopped answering and `rerun=False`. Its locks were released.",
    ),
    (
        errors.ProcessLost(1042, "web-2", 17, 12.0),
        "#1042 is lost: worker web-2 (member 17) stopped answering 12 s ago and `rerun=False`. "
        "Its locks were released.",
    ),
    (
        errors.ProcessDead(1042, 3, "web-2"),
        "#1042 was dead-lettered after 3 deliveries, the last on web-2. Look: `onserver dead show 1042`. "
        "Run again: `onserver dead replay 1042`.",
    ),
    (
        errors.ProcessDead(1042, 0, reason="it raised OSError: gone"),
        "#1042 was dead-lettered: it raised OSError: gone. Look: `onserver dead show 1042`.",
    ),
    (errors.SignalGone("#0a"), "Signal #0a is gone: nobody has used it for `process.signal_seconds`. Make a new one;"),
    (errors.NotInUse("signal #0a"), "A signal is read-only here. Change it inside `with signal.use():`."),
    (errors.VariableTimeout(7, "code", 2.0), "Variable `code` of #7 was not as wanted within 2 s."),
    (
        errors.VariableTimeout(7, "code", 2.0, "done"),
        "#7 has ended (done), and its variable `code` was not as wanted by then.",
    ),
    (
        errors.DeadlockDetected("rates", "#1042", "stock", "#1047"),
        '`use("rates")` would deadlock: #1042 holds `rates` and waits for `stock`; this process, #1047, holds '
        "`stock`. Take them in one order.",
    ),
    (errors.SyncInAsyncError(".result()", "await process"), "`.result()` would block the running event loop. Use `aw"),
    (
        errors.LockTimeout("rates", 5.0, "#1042 nightly_invoices on web-2 (alive)", 74.0, 2),
        "Lock `rates` not obtained in 5.0 s: held for 74 s by #1042 nightly_invoices on web-2 (alive). "
        "2 wait before this one.",
    ),
    (
        errors.NotInUse(),
        'Storage is read-only here. Change it inside `with session().storage.use("rates") as rates:`.',
    ),
    (errors.LockLost("rates", "member 17 was declared dead"), "The lock on `rates` was lost (member 17 was declared"),
    (
        errors.NotShareable(kind="set"),
        "A `set` cannot be stored. Use a list, or `storage.counter()` for a count.",
    ),
    (errors.NotShareable("n", problem="is a counter", advice=""), "`n` is a counter."),
    (errors.TooLarge("rates", 17000000, 16777216), "`rates` would take 17,000,000 bytes; at most 16,777,216 are allo"),
    (errors.VersionConflict("rates", 3, 4), "`rates` is at version 4, not 3: somebody changed it meanwhile."),
    (
        errors.EntityNotFound("Album", "7"),
        "There is no `Album` of the key '7'. Somebody may have dropped it meanwhile: ask for what there is.",
    ),
    (
        errors.ChangesNotLogged(100001),
        "The change was refused (1274): 100,001 changes wait to be written to the log. The leader of the workers ",
    ),
    (errors.SessionExpired("s1"), "Session s1 has expired. Log in again."),
    (errors.SessionNotFound("ann"), "There is no session `ann`. `onserver session ls` lists all."),
    (errors.SessionNotFound("ann", ["4F", "9C"]), "Several sessions are meant by `ann`: 4F, 9C. Give the id of one."),
    (
        errors.PrivilegeDenied("invoices.create", "ann", ("clerk",), ("manager", "owner")),
        "`invoices.create` refused for ann (roles: clerk). Granted by: manager, owner.",
    ),
    (
        errors.ServerUnreachable("https://shop.example", 60.0, "connection refused", call="0" * 32),
        "https://shop.example gave no answer for 60 s (connection refused). The call may run there, once; ",
    ),
    (
        errors.CertificateRefused("https://shop.example", "self-signed certificate"),
        "The certificate of https://shop.example was refused: self-signed certificate. Connect to a name that it was "
        'made for; the authority that has signed it is named by `connect(…, verify="ca.pem")` or SSL_CERT_FILE.',
    ),
    (
        errors.ServerSideOnly("set_privileges"),
        "`set_privileges` does not work in a client: it is for code on the server. Call a server method that does it",
    ),
    (
        errors.NoSession("shop.Basket"),
        "There is no session here, and so no `shop.Basket`. "
        "Sessions are in procedures, hooks and requests of the web; a client program has none.",
    ),
    (errors.MaintenanceMode("back at 9"), "The server is in maintenance: back at 9."),
    (
        errors.PrivilegeDenied("invoices.delete", "", (), ("owner",), "shop.drop"),
        "`invoices.delete`, which `shop.drop` takes, refused for guest (no roles). Granted by: owner.",
    ),
    (
        errors.PrivilegeDenied("", "ann", ("clerk",), (), "shop.drop", "nothing is said about it"),
        "`shop.drop` refused for ann (roles: clerk): nothing is said about it. `onserver roles show` lists who gives ",
    ),
    (
        errors.CallerRevoked(
            "ann", "5F…", "session 5F… was dropped", "eve@desk", "laptop was stolen", 1_795_600_000_000
        ),
        "Refused, as session 5F… was dropped by eve@desk at 2026-11-25 09:46:40 UTC (laptop was stolen); ann",
    ),
    (
        errors.CallerRevoked("ann", "", "user ann was removed"),
        "Refused, as user ann was removed; ann had asked for it.",
    ),
    (errors.ConnectionVetoed("shop.gate", 7, "full"), "Hook `shop.gate` refused the connection with 7: full."),
    (
        errors.UserNotFound("ann"),
        "There is no user `ann`. `onserver users ls` lists them, `onserver users add` makes one.",
    ),
    (errors.UserExists("ann"), "There is a user `ann` already. `onserver users passwd` gives another password;"),
    (errors.PasswordRefused("has to have 8 to 1,024 characters"), "The password has to have 8 to 1,024 characters."),
    (errors.ConnectionsRejected("it is stopping"), "The server takes no new connection: it is stopping."),
    (errors.LoginRefused("ann"), "User `ann` was not let in: no such name and password."),
    (errors.BadSignature("shop.add", "it is 41 s old", 7), "The message for `shop.add` (#7) was refused: it is 41 s o"),
    (errors.BackupVetoed("shop.guard", 201, "month-end"), "Hook `shop.guard` refused the backup with 201: month-end."),
    (
        errors.BackupCorrupt("a.onsb", "its SHA-256 is another", "redis/00002.bin"),
        "Archive `a.onsb` is damaged at `redis/00002.bin`: its SHA-256 is another. Take another one:",
    ),
    (errors.BackupCorrupt("a.onsb", "it was cut off"), "Archive `a.onsb` is damaged: it was cut off."),
    (
        errors.CutLost("it was not read to its end"),
        "The copy of the server's keys was given up: it was not read to its",
    ),
    (
        errors.CutNeverEnds(40, 25000, 3000000),
        "After 40 passes over the server's keys, 25,000 of them (3,000,000 bytes) had changed again: they are written "
        "faster than they are copied. Make the backup when less is written",
    ),
    (
        errors.ArchiveTooNew("a.onsb", 2, 1),
        "Archive `a.onsb` has form 2; this release reads forms up to 1. Use the release of onserver that wrote it, "
        "or a newer one.",
    ),
    (
        errors.ArchiveNotWritten("/srv/b/a.onsb", "no space is left on its device", "full"),
        "Archive `/srv/b/a.onsb` was not written: no space is left on its device. What was begun has been removed. "
        "Make room there, or set `backup.folder` to a place that has some.",
    ),
    (
        errors.ArchiveSealed("a.onsb", "no identity was given"),
        "Archive `a.onsb` is sealed, but no identity was given. The key file of one of its recipients opens it; ",
    ),
    (errors.SourceFailed("data/shop.db", "it is no SQLite database"), "`data/shop.db`: it is no SQLite database."),
    (errors.ArchiveNotFound("a.onsb"), "There is no archive `a.onsb`. See all: `onserver backup ls`."),
    (
        errors.BackupFailed(1409, "no space is left on its device", "/srv/b"),
        "The backup failed with 1409: no space is left on its device (`/srv/b`). The archives before it are untouched.",
    ),
    (
        errors.BackupRunning(1042, 12.3),
        "A backup is being made already, by #1042 for 12 s. `onserver ps 1042` shows how far it is.",
    ),
    (errors.BackupRunning(0, 3.0), "A backup is being made already, by a program outside of workers for 3 s."),
    (errors.RestoreRefused("a.tar", "workers are up"), "`a.tar` was not restored: workers are up."),
    (
        errors.HookFailed("on_server_startup", "shop.load", "ConnectionError: rates.example refused"),
        "`on_server_startup` hook `shop.load` raised ConnectionError: rates.example refused. The server did not start.",
    ),
    (errors.HookNotFound("guard", ["shop.guard"]), "There is no one hook `guard`. Did you mean `shop.guard`? See"),
    (
        errors.NoWorker(1051, "reports", ("default",)),
        "Kept as #1051, but no worker listens on queue `reports`. Queues with workers: default.",
    ),
    (
        errors.NoWorker(1051, "default", ("default",), "ad"),
        "Kept as #1051, but no worker on queue `default` has `ad`.",
    ),
    (errors.NoWorker(1051, "default", procedure="ad"), "Kept as #1051, but no worker has registered procedures yet; `"),
]


def leaves(cls: type[OnServerError]) -> Iterator[type[OnServerError]]:
    for child in cls.__subclasses__():
        if child.__module__ == "onserver.errors":
            yield child
            yield from leaves(child)


def each(error: Any) -> str:
    return type(error).__name__


@pytest.mark.parametrize(
    ("error", "text"), EXAMPLES, ids=lambda value: each(value) if not isinstance(value, str) else ""
)
def test_text_is_made_from_the_facts(error: Any, text: str) -> None:
    assert (
        str(error) == text or (len(text) > 25 and str(error).startswith(text)) or str(error) == f"{text} {error.hint}"
    )


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=each)
def test_facts_survive_pickle_and_json(error: Any) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert twin.args == error.args
    assert str(twin) == str(error)
    told = json.loads(json.dumps(error.as_dict()))
    assert told["code"] == f"ONS-{error.code}"
    assert set(told) == {"code", "message", "hint", "docs", "facts"}


def test_every_error_of_the_tree_has_an_example_and_a_code_of_its_own() -> None:
    tree: list[Any] = [*leaves(OnServerError), errors.NoWorker]
    concrete = [cls for cls in tree if not list(leaves(cls))]
    assert {type(error) for error, _ in EXAMPLES} == set(concrete)
    codes = [cls.code for cls in concrete]
    assert len(set(codes)) == len(codes)


def test_the_drawing_at_the_top_lists_the_whole_tree() -> None:
    for cls in leaves(OnServerError):
        assert cls.__name__ in (errors.__doc__ or "")


def test_the_reference_explains_every_code() -> None:
    page = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
    text = page.read_text(encoding="utf-8")
    for error, _ in EXAMPLES:
        assert f"### ONS-{error.code}" in text, f"{each(error)} is missing in {page.name}"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.BrokerUnavailable, ConnectionError),
        (errors.ImportFailed, ImportError),
        (errors.ProcedureNotFound, LookupError),
        (errors.BadArguments, TypeError),
        (errors.NotSendable, TypeError),
        (errors.ProcessNotFound, LookupError),
        (errors.ProcessTimeout, TimeoutError),
        (errors.LockTimeout, TimeoutError),
        (errors.NotInUse, TypeError),
        (errors.NotShareable, TypeError),
        (errors.PrivilegeDenied, PermissionError),
        (errors.NoWorker, UserWarning),
    ],
)
def test_errors_are_what_people_already_catch(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_facts_that_do_not_fit_are_refused() -> None:
    anything: Any = errors.ProcessNotFound
    unsendable: Any = errors.NotSendable
    with pytest.raises(TypeError, match="no fact 'name'"):
        anything(1, name="x")
    with pytest.raises(TypeError, match="takes 2 facts, 3 were given"):
        anything(1, (), 2)
    with pytest.raises(AttributeError, match="no attribute 'where'"):
        unsendable()
