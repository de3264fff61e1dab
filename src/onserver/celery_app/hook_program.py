"""The program that runs one hook for `celery -A workers worker`: `python -m onserver.celery_app.hook_program …`.

Words: the project's folder, the holder, the epoch, the hook's kind, name and module. The holder was enlisted by the
worker, which buries it when this program has ended.
"""

import os
import sys

from onserver.celery_app.own_program import find_hook, load_project, watched_page
from onserver.errors import ProcedureNotFound
from onserver.life.executor import Executor
from onserver.life.hook import Hook
from onserver.life.kinship import die_with_parent
from onserver.life.running_hook import run_hook


def main() -> int:
    """Run the hook; the exit status is the executor's."""
    folder, holder, epoch, kind, name, module = sys.argv[1:]
    server = load_project(folder)
    hook = find_hook(server, kind, name, module)
    if not isinstance(hook, Hook):
        raise ProcedureNotFound(name, (), len(server.registry.names(kind)))
    return run_hook(Executor(server, holder, watched_page(), "", ()), int(epoch), hook)


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main())
