# mypy: disable-error-code="untyped-decorator"
"""Written into the project of a test's cluster as `tasks/jobs.py`: procedures that say something in every way."""

import logging
import os
import signal
import subprocess
import sys

from celery import shared_task
from celery.utils.log import get_task_logger

from onserver import on_server_startup, procedure, process

logger = logging.getLogger("shop.tasks")


@on_server_startup
def greets() -> None:
    print("the hook speaks")


@procedure
def speaks(name: str, lines: int = 1) -> int:
    for line in range(lines):
        print(f"{name} says {line}")  # one piece: Celery makes a line of each
    return process().number


@procedure
def speaks_in_every_way() -> None:
    print("printed")
    print("printed to the error output", file=sys.stderr)
    logger.warning("logged %d", 1)
    logger.error("logged %d", 2)
    os.write(1, b"written below Python\n")
    subprocess.run(["sh", "-c", "echo a program; echo its errors >&2"], check=True)
    sys.stdout.write("without an end")


@procedure
def fails_aloud() -> None:
    try:
        raise ValueError("it went wrong")
    except ValueError:
        logger.exception("caught")


@procedure(rerun=False)
def dies(how: str) -> None:
    print("before the end")
    subprocess.run(["sh", "-c", "echo the program too"], check=True)
    print("last words")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.write("half a wor")
    sys.stdout.flush()
    os.abort()


@procedure(rerun=False)
def waits() -> None:
    print(os.getpid())
    sys.stdout.write("still at it")
    sys.stdout.flush()
    signal.pause()


@procedure(batch=True)
def one_of_many(n: int) -> int:
    if n % 3 == 0:
        print("I am", n)
    return process().number


@procedure
def chatters(lines: int) -> None:
    for line in range(lines):
        print("line", line)


@procedure
def counts(total: int) -> int:
    for done in range(total):
        process().report(done + 1, total, "items")
    return total


@procedure
def fails() -> None:
    logger.info("about to fail")
    raise ValueError("it went wrong")


@shared_task(name="plain")
def plain(word: str) -> str:
    get_task_logger(__name__).info("a task logs %s", word)
    print(f"a task prints {word}")
    return word
