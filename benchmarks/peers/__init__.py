"""Whom people would take instead of us, all in one run: `make bench-peers`, or `python -m benchmarks.peers --help`.

| file | what |
|---|---|
| `__main__` | options, repetitions, what is written |
| `systems` | who is measured, in which environment, with which commands |
| `measures` | what is measured of each |
| `report` | the tables: everybody's figures, and ours against the best, against Celery, against the loop by hand |
| `with_*` | one for each system: its procedure, and how its client enqueues and calls |
| `by_hand` | what is left when the library is left out: a loop that reads, calls, stores and acknowledges |

Everybody runs the same body on the same empty Redis over TCP, with two processes, results kept, and the configuration
that suits it best on two cores, which `systems` and the module of each say. One repetition has everybody in it, so that
a ratio is of figures that were taken within minutes of each other. It fails where something fails, never because of a
figure.
"""
