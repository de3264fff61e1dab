"""Backups: an archive of a server that is of one instant, checked, kept by rule, found again and restored.

A backup is a process of the server, `onserver.backup`: it is in `ps`, tells how far it is, and can be aborted. One runs
at a time in the cluster. Its way:

    begin → the start-up hooks, any of which may refuse → number → cut and archive → verify → remove what is too old
          → its result is written down → the shutdown hooks, in every case → close

Who is authoritative: the hash `backup` in Redis says which run there is, who holds it, how far it is, and when the next
one is due; the archives and `backupHistory.json` in their folder say what there is to restore. A run that nobody holds
any more, because its worker was killed, is taken over by whoever finds it: the process itself where it is delivered
again, else the one that the leader of the workers starts for this. It is not gone on with, but brought to its end: its
unfinished archive is removed, its result is that it failed, and the shutdown hooks that were not told yet are told.

An archive gets its name when it is whole and on the disk, and never takes the place of another. What fails, whenever it
does, leaves the archives that were there as they were.
"""
