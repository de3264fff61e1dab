"""Every key of a server: its pattern, its type, who writes it, and how long it lives.

Nothing is left behind: a key that is not in this catalogue, or has neither an owner that is alive nor a lifetime, is a
defect, and `find_orphans` finds it. In a pattern, N is the number of a process, M that of a member, HOLDER is
`member.incarnation`; other words in capitals are names. All patterns stand behind the prefix `{onserver:NAME}:`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onserver.redis.owners import (
    Judge,
    box,
    boxes,
    call,
    closed,
    entry,
    kept,
    line,
    line_of,
    lock,
    naming,
    of_code,
    of_holder,
    of_holders,
    of_member,
    of_process,
    of_session,
    of_space,
    owners,
    record,
    restoring,
    schedule,
    semaphore_line,
    session,
    sessions_of,
    slots,
    timed,
)

#: What a backup does with a key. It is saved as a part of it (`server`, `storage`, `sessions`, …); or it is
#: `derived`, and made anew from what is saved; or `live`: it means nothing without the programs that were alive then.
Saved = Literal["server", "storage", "sessions", "processes", "schedule", "derived", "live"]


@dataclass(frozen=True)
class Key:
    """One line of the catalogue."""

    pattern: str
    type: str
    writers: str
    lifetime: str
    judge: Judge
    saved: Saved = "live"


CATALOGUE: tuple[Key, ...] = (
    # the server and its epochs
    Key("server", "hash", "greet, the steps of an epoch, beat, enlist, retire, bury", "for ever", kept, "server"),
    Key("numbers", "hash", "whoever needs a number that is never used again", "for ever", kept, "server"),
    Key("hooks:EPOCH", "hash", "claim_hook, step", "30 days", timed, "server"),
    Key("hook_runs", "stream", "note_hook, step, bury", "the newest 1,000 or so", kept),
    Key("failure:EPOCH", "string", "fail_epoch", "one day", timed, "server"),
    Key("users", "hash", "user", "until they are removed", kept, "server"),
    Key("revoked", "hash", "user", "until the user is removed", kept, "server"),
    Key("tries:HASH", "string", "whoever looks at a password: see session/attempts.py", "five minutes", timed),
    Key("procedures", "hash", "register", "for ever: a name outlives its workers", kept, "server"),
    Key("aliases", "hash", "register", "for ever: what was put under an earlier name may wait still", kept, "server"),
    Key("events", "stream", "tell_events, and whatever ends or moves something", "the last 1,000", kept),
    Key("marks", "hash", "tell_events, silent", "until what is over its mark is under it again", kept),
    Key("told:WHAT", "string", "tell_events", "a few beats", timed),
    Key("levels", "hash", "log.level", "until the last of them is over", timed),
    Key("clock", "string", "the test plug-in", "as long as the tests", kept),
    # how it stood: see views/series.py
    Key("series:10s", "list", "silent", "the last hour", kept),
    Key("series:1m", "list", "silent", "the last day", kept),
    Key("series:10m", "list", "silent", "the last week", kept),
    Key("series:total", "hash", "silent", "for ever", kept),
    Key("series:left", "hash", "trim, forget, replay, silent", "until the next 10 s are over", kept),
    # the admin page
    Key("admin:at", "string", "onserver admin, when it starts", "until the next start", kept),
    Key("admin:doing", "hash", "the admin page, for what takes minutes", "a day", timed),
    Key("admin:findings", "string", "server.examine, server.mend", "a day", timed),
    Key("admin:link:HASH", "string", "onserver admin, spent by admin_login", "ten minutes", timed),
    Key("admin:oidc:HASH", "string", "the admin page, for a login at a provider", "ten minutes", timed),
    Key("admin:roles", "hash", "roles.reload", "until the next time", kept),
    Key("admin:session:HASH", "string", "the admin page, admin_login", "twelve hours", timed),
    Key("admin:refused", "string", "the admin page, for each login that is refused", "an hour", timed),
    Key("admin:tokens", "hash", "onserver admin token, the admin page", "until they are revoked, or too old", kept),
    Key("audit", "stream", "audit", "the last 10,000 or so", kept),
    # backups
    Key("backup", "hash", "backup_begin, backup_close, backup_plan", "for ever", kept),
    Key("backup:run", "hash", "backup_begin, backup_note, backup_close", "until its end was told", kept),
    # members and holders
    Key("members", "zset", "join, beat, leave, bury_member", "while it has members", kept),
    Key("member:M", "hash", "join, bury_member", "the member, then process.keep_failed_seconds", of_member),
    Key("orders:M", "list", "whoever orders something", "the member", of_member),
    Key("m:M", "set", "enlist, bury", "the member's holders", of_holders),
    Key("workers", "set", "open_epoch, leave, bury_member", "while there are workers", kept),
    Key("leaving", "set", "leaving, leave, bury_member", "until they have left", kept),
    Key("drained", "set", "drained, leave", "until they have left", kept),
    Key("live", "set", "enlist, bury", "while there are holders", kept),
    Key("burying", "hash", "bury", "until all that a dead holder held has fallen", kept),
    Key("h:HOLDER", "hash", "enlist, bury", "the holder", of_holder),
    Key("held:HOLDER", "list", "put, step, bury", "the holder", of_holder),
    Key("x:HOLDER", "list", "put, step, due, beat", "the holder", of_holder),
    Key("codes", "hash", "enlist, bury", "while there are holders", kept),
    Key("code:CODE", "set", "register", "the holders that have the code, then one hour", of_code),
    Key("sides:CODE", "hash", "register", "the holders that have the code, then one hour", of_code),
    Key("serve:QUEUE", "set", "enlist, retire, bury", "the holders in it", of_holders),
    Key("idle:QUEUE:CODE", "set", "step, put, bury", "the holders in it", of_holders),
    # processes
    Key(
        "p:N",
        "hash",
        "put, step and all that moves a process",
        "the process, then process.keep_seconds",
        record,
        "processes",
    ),
    Key("queues", "set", "put, due, step, bury", "while processes wait", kept, "derived"),
    Key("q:QUEUE", "zset", "put, due, step, bury", "while processes wait", kept, "derived"),
    Key("r:QUEUE", "zset", "put, due, step, bury", "while processes of hooks wait", kept, "derived"),
    Key("keys:LINE", "zset", "put, due, step, bury", "while processes wait whose limit has keys", kept, "derived"),
    Key("line:LINE", "zset", "put, due, step, bury", "while processes wait", line_of, "derived"),
    Key("due", "zset", "put, due", "while processes are delayed", kept, "derived"),
    Key(
        "resting", "zset", "pause, resume, step, bury", "while processes that had not begun are paused", kept, "derived"
    ),
    Key("ended", "zset", "step, trim", "process.keep_count and process.keep_seconds", kept, "derived"),
    Key(
        "failed",
        "zset",
        "step, abort, bury, trim, replay",
        "process.keep_count, process.keep_failed_seconds",
        kept,
        "derived",
    ),
    Key("dead", "zset", "step, bury, trim, replay", "process.keep_count, process.keep_failed_seconds", kept, "derived"),
    Key("name:NAME", "string", "put, step", "the process of that name", naming, "derived"),
    Key("id:UUID", "string", "put, step", "the process, then process.keep_seconds", naming, "derived"),
    Key("key:KEY", "string", "put", "the time that the caller gave", timed, "processes"),
    Key("once:NONCE", "string", "put, join and other one-trip writes", "60 s", timed),
    Key("sent:SENDER", "string", "commit, add", "60 s", timed),
    Key("boxes", "hash", "call, kill_box, step, bury", "while mailboxes have processes", boxes, "processes"),
    Key("box:NAME", "list", "call, kill_box, step, bury", "the process of the mailbox", box, "processes"),
    Key("call:CALL", "hash", "twin_call, step, bury", "until it ends, then process.keep_seconds", call, "processes"),
    Key("cw:CALL", "set", "watch_call, step, bury", "60 s after the last look", timed),
    Key("vars:N", "hash", "set_variables", "the record of the process", of_process, "processes"),
    Key("sl:N", "hash", "sleep, delay, rise", "a minute longer than it sleeps", timed),
    Key("vw:N", "hash", "watch_variable, set_variables", "60 s after the last look", timed),
    Key("w:N", "set", "await, celery_results", "until the end of the process, one day at most", timed),
    Key("pw:N", "set", "watch_progress, report", "60 s", timed),
    Key("log:N", "list", "log", "the record of the process", of_process, "processes"),
    Key("kids:N", "list", "put, put_many, call, put_side", "the record of the process", of_process, "processes"),
    Key("wu:UUID", "set", "celery_results", "60 s", timed),
    # schedules
    Key("schedules", "set", "plan, add_schedule, drop_schedule", "while there are schedules", kept, "schedule"),
    Key(
        "schedule:SCHEDULE",
        "hash",
        "plan, put, hold_schedule, add_schedule, change_schedule, drop_schedule",
        "the code that has it, then 30 days; until it is dropped",
        schedule,
        "schedule",
    ),
    Key(
        "starts:SCHEDULE",
        "list",
        "plan, put, hold_schedule, add_schedule, change_schedule, drop_schedule",
        "as its schedule: the last 100 of what became of it",
        schedule,
    ),
    # limits and wide pauses
    Key("limits", "hash", "set_limits", "while a worker's code or settings say so", kept),
    Key("slots:LIMIT", "set", "put, due, step, bury", "the processes in it, which run", slots),
    Key("rate:LIMIT", "list", "put, due, step, bury", "the time of the rate", timed, "processes"),
    Key("closed", "zset", "step, put, due", "until the limit lets one begin", closed, "derived"),
    Key(
        "turns", "zset", "step, put, due, shut_gate", "until a limit's turn, a pause's end, an expiry", kept, "derived"
    ),
    Key(
        "paused", "hash", "shut_gate, open_gate, due", "until somebody resumes, or the time is over", kept, "processes"
    ),
    # Celery
    Key("note:UUID", "hash", "note", "process.keep_seconds", timed, "processes"),
    Key("chord:GROUP", "hash", "chord_open, chord_part, chord_close", "process.keep_seconds", timed, "processes"),
    Key("group:GROUP", "string", "save_group, forget_group", "process.keep_seconds", timed, "processes"),
    Key("mq:QUEUE", "list", "the transport, for what is no task", "the queue's x-expires, or one hour", timed),
    Key("bind:EXCHANGE", "set", "the transport", "one week", timed),
    # the storage of the server
    Key("st:index", "set", "commit, add, empty_storage", "while it has entries", kept, "derived"),
    Key(
        "st:e:ENTRY",
        "hash",
        "commit, add, empty_storage",
        "until it is removed or the storage emptied",
        entry,
        "storage",
    ),
    Key("st:l:ENTRY", "hash", "lock, unlock, commit, bury", "its owner's holder", lock),
    Key("st:w:ENTRY", "zset", "lock, unlock, commit, bury", "the lock", line),
    # sessions
    Key("s:ID", "hash", "session_open, whatever uses or changes one, open_epoch", "the session", session, "sessions"),
    Key("sessions", "zset", "whatever opens, uses or ends a session", "while there are sessions", kept, "derived"),
    Key("sk:KIND", "zset", "whatever opens or ends a session", "while there are any of the kind", kept, "derived"),
    Key("su:LOGIN", "set", "whatever opens or ends a session", "the sessions of the user", sessions_of, "derived"),
    Key("sm:ID", "list", "session_post, session_mail", "the session", of_session, "sessions"),
    Key("rc:ID", "hash", "remote_connect and what ends a connection", "the session", of_session, "sessions"),
    Key("re:ID", "list", "whoever tells a client, remote_beat", "the session", of_session, "sessions"),
    Key("rw:ID", "set", "remote_beat", "60 s after the last look", timed),
    Key("closing", "zset", "whatever ends a remote session", "until they are over", kept, "sessions"),
    Key("asked", "hash", "remote_register, whatever ends the session", "the sessions", kept, "sessions"),
    Key("rotated", "hash", "session_rotate", "the sessions", kept, "derived"),
    Key("otp:HASH", "string", "session_token, session_redeem", "the time that it was made for", timed),
    Key("dropped", "hash", "session_end, session_sweep", "one year", kept, "sessions"),
    Key("drops", "zset", "session_end, session_sweep", "one year", kept, "sessions"),
    Key("emptying", "set", "whatever ends a session, session_sweep", "until they are empty", kept, "sessions"),
    # the storage of one session
    Key("ss:ID:index", "set", "commit, add, whatever ends the session", "the session", of_space, "derived"),
    Key("ss:ID:e:ENTRY", "hash", "commit, add, whatever ends the session", "the session", entry, "sessions"),
    Key("ss:ID:l:ENTRY", "hash", "lock, unlock, commit, bury", "its owner's holder", lock),
    Key("ss:ID:w:ENTRY", "zset", "lock, unlock, commit, bury", "the lock", line),
    # clients that take requests
    Key("clients", "hash", "register_client, unregister_client, bury", "while there are clients", owners),
    Key("cq:HOLDER", "list", "ask_clients, unregister_client, bury", "the holder", of_holder),
    Key("cn:HOLDER", "list", "the client, unregister_client, bury", "the holder", of_holder),
    # semaphores
    Key("sem:h:NAME", "hash", "semaphore, clear_semaphores, step, bury", "the holders of its owners", owners),
    Key("sem:w:NAME", "zset", "semaphore, leave_semaphore, clear_semaphores, step, bury", "its owners", semaphore_line),
    # signals
    Key("sg:e:NAME", "hash", "make_signal, trigger_signal, write_signal", "process.signal_seconds", timed, "processes"),
    Key("sg:q:NAME", "set", "wait_signal, trigger_signal, step, bury", "60 s after the last look", timed),
    Key("sg:l:NAME", "hash", "lock, unlock, write_signal, bury", "its owner's holder", lock),
    Key("sg:w:NAME", "zset", "lock, unlock, write_signal, bury", "the lock", line),
    # a backup
    Key("cut", "string", "cut_begin, cut_renew, cut_end", "10 s after the last word of who cuts; a restore", restoring),
    Key("cut:dirty", "set", "every script while a backup is cut", "100 s", timed),
    Key("cut:copies", "hash", "cut_end, cut_drop", "10 minutes", timed),
    Key("cut:c:KEY", "any", "cut_end, cut_drop", "10 minutes", timed),
    Key("journal", "stream", "log_on, commit, add, empty_storage, cut_end", "while changes are logged", kept),
    Key("restore:KEY", "any", "a restore, restore_put", "until it has ended, or was undone", restoring),
    # who has what and waits for what
    Key("locks:HOLDER", "set", "lock, unlock, commit, bury", "the holder", of_holder),
    Key("waits", "hash", "lock, unlock, commit, bury", "those who wait", owners),
    Key("since", "hash", "lock, unlock, commit, semaphore, wait_signal, bury", "those who wait", owners),
    Key("wake:TOKEN", "list", "unlock, commit, bury", "60 s", timed),
)
