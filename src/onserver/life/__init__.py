"""The life of a server: a worker is a supervisor with executors, a server has epochs, and both fire hooks.

Who does what
    The *supervisor* is the member. It runs no procedure: it beats, takes orders, watches, ends, replaces. Each
    *executor* is a child with one connection of its own; it claims for itself, runs one process at a time in its main
    thread, and settles it in the same trip that claims the next. What they share is a page of memory (`page`). An
    *async executor* is the same for coroutines, of which it runs many on one loop (`async_executor`).

    A *hook* and a *side run* (`side_runs`) each get a child beside the executors, forked when there is one to run: what
    the life of the server calls waits for nothing that runs.

Who is authoritative
    The record in Redis. The page only lets one side of a machine see the other without a trip: which process has begun
    (written before it is begun), and when the last beat was answered (stamped by the supervisor).

How it ends for an executor
    killed                      reaped at once; the holder is buried with what had begun; another is forked
    draining                    it finishes what runs, settles, exits 0
    its supervisor is killed    the kernel kills it (PR_SET_PDEATHSIG); elsewhere its watch thread sees another parent
    its supervisor is frozen    its watch thread ends it 0.8 leases after the last good beat
    Redis is silent             the supervisor interrupts it at 0.7 and kills it at 0.8 leases; uncounted. A process of
                                `when_cut="finish"` runs on: the page says so
    its holder was buried       its next write is refused (FENCED): it exits, and what it did is not accepted

How a server comes to life and ends
    The first worker opens an epoch (`open_epoch`): `starting`; start-up hooks run, each as a process in a child forked
    for it, once in the cluster (`claim_hook`); then `running`. A hook that fails makes the epoch `failed` and every
    waiting worker exit with 1. `onserver stop`, or the leaving of the last worker, turns it to `stopping`: shutdown
    hooks run while processes still do, then workers drain, hooks of `when="drained"` run at the last one, and it is
    `stopped`.
"""
