"""What runs processes in the program that starts them: a single-user application, or a test.

The engine is a worker without programs of its own. Redis, the scripts, the signatures and the short runner are the real
ones; the supervisor and its children are left out. It has a member, holders, and code that is described anew when
procedures are declared, as `onserver reload` does: whoever starts a process lets the engine take a new *place* first,
that of a holder whose code has it, and what an older place still holds is run from there.

| who has it | who runs | module |
|---|---|---|
| the fixture `onserver` | whoever starts a process, before the start returns | `engine` |
| the fixture `onserver_live` | one thread, a *seat* | `seat` |
| `Server.standalone()` | as many seats as there are processes at a time, up to `opening.MOST` | `seat` |

Only a single-user application has a `keeper`: a thread that beats, lets begin what is due, and passes on what is asked
of processes. A test ends in a moment, and does by hand what it wants of that.

What comes by Celery's own `.delay` or `.apply_async` is run by Celery's tracer, by a seat or in `run_waiting`: only
`execute_on_server` and its kin know that they run inline.
"""
