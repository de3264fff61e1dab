"""Who takes part in a server, and how the rest learns that somebody is gone.

Workers and, while they hold something, client programs are *members*. A member has a number that is never used again
and beats every `member.beat_seconds`; whoever is silent for `member.lease_seconds` is declared dead by whichever worker
leads, in one script, and everything in its name falls at once.

Who is authoritative
    The zset `members` in Redis: a number that is not in it is dead, and every script that writes asks before it writes.
    Nobody's memory counts, and no member's clock: times are Redis' own (`TIME`).

What is held, and by whom
    In the name of a *holder*, "member.incarnation": one life of one executor, or what a client program holds its locks
    in. `live` has the holders that may write. Burying takes the holder out of it first, so that a settle or commit that
    a killed executor had still in a socket is refused, and then hands back what it held in chunks; a burier that dies
    in the middle leaves a line in `burying`, and the leader's sweep goes on.

Formulas
    declared dead           lease after the last beat that Redis heard, plus up to one beat until the leader looks
    may be declared dead    never before `grace`: when nobody at all was heard for half a lease, Redis or everybody's
                            link stood still, and all get a full lease from then on (silence counts only if it could be
                            heard)
    ends its own work       0.8 leases after the sending of the last beat that was answered, by the monotonic clock:
                            before anybody could be given the work. A refusal, LOADING or READONLY is an answer
    deadline of a beat      a fifth of the lease

Failures and outcomes
    executor killed         its supervisor sees it, buries the holder with the number that had begun, forks another
    supervisor killed       its executors end themselves; the member is buried a lease later; the first process of each
                            holder counts as begun
    whole machine killed    the same; or at once, when the next worker starts on that machine and finds the pid gone
    stopped and woken       its next write is refused with FENCED; it drops its work and joins under a new number
    Redis stopped, woken    nobody is declared dead; what ran for 0.8 leases of it was ended and is handed back
                            uncounted
    Redis restarted         numbers move on by a million unless the embedded Redis stopped in good order; beats go on
"""
