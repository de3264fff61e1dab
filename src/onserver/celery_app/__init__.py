"""Where Celery ends: transport, result backend, task class, bootsteps, application. Only here is Celery imported.

A Celery task that goes through this transport is a process, as a procedure is: one record holds message, state and
result. Celery keeps what it promises (canvas, retries, countdown, remote control); what it leaves open under failure
(a killed worker, a lost reply, a step that is sent twice) is settled by the scripts of the record.

Where the two meet, Celery's ways are bent in a few places, each on a public extension point:

    acknowledging is not always storing
        the backend's store is the process' end, result and release in one script, where nothing follows it. Something
        follows where the process is part of a chord (the part is counted after the store) or is retried: there it is
        stored and stays held, and the acknowledgement releases it
    a delay is no worker's business
        `eta` becomes a due time in Redis, and is None in the message that a worker gets
    links are named when they are asked for
        a callback gets its task id when its task is sent, not when that ends: when the task runs twice, the second
        sending finds the process there (`put` answers `same`)
    parts of a chord are a set of ids
        a part that runs twice counts once, and the part that completes the chord sends its callback
    a worker takes what it can begin
        nothing is prefetched; an idle worker is registered, and handed the next process by whoever puts it
"""
