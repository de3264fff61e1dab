"""What the tests of a project use: fixtures (a pytest plug-in), clusters of real workers, a ledger, and waiting.

The plug-in needs no configuration: with onserver installed, pytest knows the fixtures `onserver`, `onserver_live` and
`onserver_cluster`. See `onserver.testing.plugin`.
"""

from onserver.testing.cluster import Cluster
from onserver.testing.inline import OnServer
from onserver.testing.ledger import Ledger, note
from onserver.testing.programs import WorkerProgram
from onserver.testing.wait import wait_for

__all__ = ["Cluster", "Ledger", "OnServer", "WorkerProgram", "note", "wait_for"]
