"""The program that runs one side run for `celery -A workers worker`: `python -m onserver.celery_app.side_program …`.

Words: the project's folder, the holder, the number, and the module of a hook, or an empty word. The worker has taken it
in the name of that holder, which it buries when this program has ended.
"""

import os
import sys

from onserver.celery_app.own_program import find_hook, load_project, watched_page
from onserver.errors import ProcessNotFound
from onserver.life.executor import Executor
from onserver.life.kinship import die_with_parent
from onserver.life.side_runs import run_side
from onserver.process.claim import read_claim


def main() -> int:
    """Run it; the exit status is the executor's."""
    folder, holder, number, module = sys.argv[1:]
    server = load_project(folder)
    claim = read_claim(server.store, int(number))
    if claim is None:
        raise ProcessNotFound(int(number))
    kind, _, name = claim.procedure.partition(":")
    find_hook(server, kind.replace("-", " "), name, module)
    return run_side(Executor(server, holder, watched_page(), "", ()), claim)


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main())
