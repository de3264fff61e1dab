"""The server's side of remote clients: their sessions, their connections, and what they ask for.

A client logs in and has a session (`Desk.open`), whose id is its secret. It then has connections (`Desk.connect`), each
of which stands for a process of the client and has a twin on the server: a mailbox that works off the client's calls in
order, in the client's session. A connection is there when the hooks of its opening have accepted it, which they are
asked as the first call of the twin.

    opening ──accepted──▶ open ──its end──▶ closing ──told──▶ gone
       └────refused──▶ gone: nobody is told of its end; and so is the session, if no connection was ever accepted

A session that ends while it has connections is `closing` first: nothing is taken from its client any more, the hooks
are told of the end of each connection, in the session, and with the last connection it goes.

| what happens | what becomes of the session |
|---|---|
| the client says that it is there, once in `remote.beat_seconds` | it lasts `remote.unreachable_seconds` from then on |
| three beats have not come | it is unreachable: `info.unreachable_since` counts |
| not heard for `remote.unreachable_seconds` | it ends |
| the client's machine sleeps | `sleeping`: it lasts `remote.sleep_hours`, until the client is heard again |
| closed by the client, dropped by somebody, the server stops | it ends |
| whoever was to end it dies | the leader of the workers brings it to its end, or that of the next life of the server |

Every step is one script, which judges by what is in Redis then, and is safe to send twice.
"""
