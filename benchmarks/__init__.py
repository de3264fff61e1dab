"""Ours and stock Celery, in turn, on the same private Redis program: `make bench`, or `python -m benchmarks --help`.

| file | what |
|---|---|
| `__main__`, `options` | the repetitions, the time they may take; how options are read |
| `measures` | what is measured, and what of it is a row of the table |
| `engine` | one private Redis for one measurement, and what it counted |
| `programs` | workers and clients, as programs; the memory and CPU time of a tree |
| `counter` | the body that every system runs, and how it is counted |
| `clients`, `loops` | how a client program enqueues, calls and reports: with threads, with coroutines |
| `stock`, `ours`, `ours_on_a_loop` | the clients, and Celery's application |
| `shared` | the shared state: eight programs that change one entry |
| `growth`, `curves` | what each step costs as more is stored; the chart of it |
| `flames` | where the time of a worker at full rate goes: a flame graph |
| `costs`, `without` | what the signature and the history cost: the same with one of them left out |
| `many_sessions`, `web_sessions`, `remote_clients` | sessions: many, in web applications, of remote clients |
| `goals` | what is to be reached |
| `report`, `charts`, `draw` | medians, ratios, the table, the JSON file; the PNG |
| `page` | what was measured, put on `docs/performance.md` |
| `peers/` | all whom people would take instead: `make bench-peers` |
| `project/` | the project that our workers run |

Both sides run on one machine, one after the other, within one repetition; a row's ratio is the median of the ratios of
the repetitions. A body that does nothing exaggerates every difference: with a body of 10 ms hardly any of it is left.
"""
