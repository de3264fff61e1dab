"""Other log levels for a while: in workers that run and in those that start, until their time is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from onserver.errors import BadField, NotDone
from onserver.life.child import LevelHandler
from onserver.life.log_levels import MOST, LogLevels, order, ordered, reset, shown_from
from onserver.redis.address import Address
from onserver.server import Server
from onserver.steer.actor import Actor
from onserver.steer.audit import lines
from onserver.steer.gate import perform
from onserver.steer.granted import PRIVILEGES
from onserver.testing import wait_for
from tests.admin_browser import browser
from tests.inline_worker import make_server
from tests.test_cli_programs import Project

TASKS = """
import logging

from onserver import procedure


@procedure
def speaks() -> None:
    logging.getLogger("shop.till").debug("open the till")
    logging.getLogger("shop").warning("it is late")
"""
ALL = Actor(user="ann", origin="::1", where="python", privileges=frozenset(PRIVILEGES))


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"ll{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def name() -> Iterator[str]:
    name = f"levels.{uuid4().hex[:8]}"
    yield name
    logging.getLogger(name).setLevel(logging.NOTSET)


# -- in one program


def test_a_level_holds_until_its_time_is_over_and_what_was_before_comes_back(server: Server, name: str) -> None:
    said: list[str] = []
    logger, levels = logging.getLogger(name), LogLevels(server.store, said.append)
    logger.setLevel(logging.ERROR)
    assert (levels.take(), levels.due_seconds) == (False, None)
    order(server.store, name, "DEBUG", 0.2, "ann")
    assert levels.take()
    assert not levels.take()  # nothing new
    assert (logger.level, shown_from(), LevelHandler().level) == (logging.DEBUG, logging.DEBUG, logging.DEBUG)
    assert 0 <= (levels.due_seconds or -1) <= 0.2
    assert not levels.turn()
    wait_for(levels.turn)
    assert (logger.level, shown_from(), levels.due_seconds) == (logging.ERROR, logging.WARNING, None)
    assert not ordered(server.store)
    assert said == [f"log level of {name}: DEBUG, by ann", f"log level of {name}: ERROR again"]


def test_what_is_said_anew_takes_the_place_of_what_was_said(server: Server, name: str) -> None:
    logger, levels = logging.getLogger(name), LogLevels(server.store, lambda _: None)
    order(server.store, name, "DEBUG", 60, "ann")
    assert levels.take()
    order(server.store, name, "INFO", 60, "bob")
    assert levels.take()
    assert logger.level == logging.INFO
    order(server.store, name, "INFO", 3600, "bob")
    assert not levels.take()  # only longer
    assert (levels.due_seconds or 0) > 3000
    assert reset(server.store, name) == 0  # nobody is up
    assert levels.take()
    assert logger.level == logging.NOTSET
    assert reset(server.store, name) is None


def test_there_are_not_too_many_and_none_lasts_for_ever(server: Server) -> None:
    store = server.store
    for number in range(MOST):
        order(store, f"levels.{number}", "INFO", 10**9, "ann")
    with pytest.raises(ValueError, match="have a level of their own already"):
        order(store, "levels.more", "INFO", 60, "ann")
    order(store, "levels.1", "DEBUG", 60, "ann")
    with pytest.raises(ValueError, match="is no level"):
        order(store, "levels.1", "LOUD", 60, "ann")
    assert len(ordered(store)) == MOST
    assert 0 < store.command("PTTL", store.key("levels")) <= 86_400_000


# -- as an action, and on the page


def test_it_is_an_action(server: Server) -> None:
    told = perform(server, ALL, "log.level", {"logger": "shop", "level": "DEBUG", "seconds": "10m"})
    assert told.text == "shop logs from DEBUG on, in 0 workers; what runs goes on as it began."
    assert perform(server, ALL, "log.level", {"level": "ERROR", "seconds": "30"}).target == "root"
    with pytest.raises(BadField, match="has to be one of"):
        perform(server, ALL, "log.level", {"level": "LOUD", "seconds": "30"})
    with pytest.raises(BadField, match="at most"):
        perform(server, ALL, "log.level", {"level": "DEBUG", "seconds": "2d"})
    assert perform(server, ALL, "log.reset", {"logger": "shop"}).before == "DEBUG"
    with pytest.raises(NotDone, match="has no other level"):
        perform(server, ALL, "log.reset", {"logger": "shop"})
    found = [(line.action, line.target, line.after, line.result) for line in lines(server.store, action="log")]
    assert found[-1] == ("log.level", "shop", "DEBUG", "done")
    assert found[0] == ("log.reset", "shop", "", "failed")


def test_the_page_has_a_form_and_says_until_when(server: Server) -> None:
    ann = browser(server)
    page = ann.get("/diagnostics").text
    assert "Every logger has its own level." in page
    assert '<option value="DEBUG">' in page
    done = ann.post("/act/log.level", data={"logger": "", "level": "DEBUG", "seconds": "10m", "back": "/diagnostics"})
    assert done.status_code == 303
    page = ann.get("/diagnostics").text
    assert '<tr data-key="root">' in page
    assert '<input type="hidden" name="logger" value="">' in page
    told = ann.get("/diagnostics", headers={"accept": "application/json"}).json()["data"]["levels"]
    assert [(one["logger"], one["level"], one["by"]) for one in told] == [("", "DEBUG", "ann")]
    ann.post("/act/log.reset", data={"logger": ""})
    assert not ordered(server.store)
    assert "/act/log" not in browser(server, ["operator"]).get("/diagnostics").text


# -- in workers


@pytest.fixture
def shop(tmp_path: Path, onserver_redis: str) -> Iterator[Project]:
    made = Project(tmp_path / "shop", onserver_redis)
    (made.folder / "tasks" / "work.py").write_text(TASKS)
    yield made
    made.end()


def spoken(shop: Project) -> str:
    """What a process has logged that ran now."""
    number = shop.json("call", "work.speaks", "--detach")["data"]["process"]
    wait_for(lambda: shop.json("ps", str(number))["data"][0]["state"] == "done", 60)
    return shop.run("logs", str(number)).stdout


def test_workers_that_run_and_workers_that_start_have_it(shop: Project) -> None:
    first = shop.serve()
    assert "till" not in spoken(shop)
    assert "it is late" in spoken(shop)
    told = shop.run("levels", "set", "debug", "--logger", "shop.till", "--for", "1h")
    assert (told.returncode, told.stdout.strip()) == (0, "shop.till: DEBUG, in 1 workers")
    wait_for(lambda: "log level of shop.till: DEBUG, by " in first.read_text(), 60)
    wait_for(lambda: "DEBUG shop.till: open the till" in spoken(shop), 60)  # one that is leaving may have run it
    assert "shop.till DEBUG" in " ".join(shop.run("levels", "ls").stdout.split())
    second = shop.serve()
    assert "log level of shop.till: DEBUG, by " in second.read_text()
    assert shop.run("levels", "reset", "--logger", "shop.till").returncode == 0
    for log in (first, second):
        wait_for(lambda log=log: "log level of shop.till: NOTSET again" in log.read_text(), 60)  # type: ignore[misc]
    wait_for(lambda: "till" not in spoken(shop), 60)
    assert shop.run("levels", "reset", "--logger", "shop.till").returncode == 4
    assert shop.run("levels", "set", "loud").returncode == 2
    assert shop.run("levels", "ls").stdout.strip() == "every logger has its own level"


def test_a_worker_puts_it_back_by_itself(shop: Project) -> None:
    log = shop.serve()
    assert shop.run("levels", "set", "DEBUG", "--logger", "shop.till", "--for", "1s").returncode == 0
    wait_for(lambda: "log level of shop.till: NOTSET again" in log.read_text(), 60)
    wait_for(lambda: "till" not in spoken(shop), 60)
