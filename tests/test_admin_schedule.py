"""The schedule on the admin page: rules in words, next times, what became of each and was missed; what can be done."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import procedure, registry
from onserver.admin.language import language
from onserver.admin.page import Look
from onserver.admin.pages.schedule import _rule  # pyright: ignore[reportPrivateUsage]
from onserver.admin.rendering import looking
from onserver.errors import BadDeclaration, ScheduleNotFound
from onserver.process.added import add_schedule, change_schedule
from onserver.process.maintenance import begin_maintenance_on, end_maintenance_on
from onserver.process.plan import Step, hold, planned, steps_of
from onserver.process.schedule import Entry
from onserver.process.signed_schedule import sign_schedule
from onserver.process.timetable import Timetable
from onserver.process.timing import Timing
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.settings import MemberSettings, Settings, SigningSettings
from onserver.testing import OnServer
from onserver.views.pulse import pulse
from onserver.views.schedules import Gap, Schedules, history
from tests.admin_browser import browser
from tests.inline_worker import KEY, working

JSON = {"accept": "application/json"}
HOUR = 3_600_000


@pytest.fixture
def server(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One whose times are missed after two minutes."""
    settings = Settings(
        name=f"ac{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=20.0),
    )  # fmt: skip
    monkeypatch.setenv("ONSERVER_TESTING", "1")  # its clock can be put forward
    with Server(settings=settings) as made, made.as_current():
        yield made


@pytest.fixture
def declared() -> Iterator[None]:
    known = registry.kept()

    @procedure(name="plans.report")
    def report(day: str = "today", token: str = "") -> str:
        return day

    @procedure(name="plans.secret", redact=True)
    def secret(word: str) -> None: ...

    yield
    registry.keep(known)


@pytest.fixture
def worker(server: Server, declared: None) -> Iterator[OnServer]:
    with working(server) as opened:
        yield opened


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def data(ann: TestClient, path: str = "/schedule") -> Any:
    answer = ann.get(path, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def plan(server: Server, *entries: Entry) -> None:
    """Say, as a worker does, that its code has these."""
    (code,) = server.store.command("HKEYS", server.store.key("codes"))
    words: list[Any] = []
    for one in entries:
        words += [one.name, one.written(), one.timing.name, sign_schedule(server, one.name, one.written())]
    server.store.run("plan", code.decode(), *words)


def entry(name: str, text: str = "0 * * * *", **facts: Any) -> Entry:
    return Entry(name=name, procedure="plans.report", timing=Timing.read(text), **facts)


def advance(server: Server, ms: int) -> None:
    server.store.command("INCRBY", server.store.key("clock"), ms)
    server.store.close()


def turn(server: Server) -> None:
    """Start what is due, as the leader does."""
    timetable = Timetable(server, server.store, print)
    timetable.turn()


def to_the_hour(server: Server) -> None:
    """Let it be five minutes to a full hour."""
    now = server.store.now_ms()
    advance(server, (now // HOUR + 1) * HOUR - 5 * 60_000 - now)


# -- the list


def test_without_schedules_it_is_said_how_to_add_one(server: Server, ann: TestClient) -> None:
    page = unescape(ann.get("/schedule").text)
    assert "Nothing is scheduled." in page
    for way in ('@procedure(schedule="0 2 * * *"', "[schedule.nightly]", 'onserver schedule add "0 2 * * *"'):
        assert way in page
    assert data(ann) == {"schedules": [], "cursor": None}


@pytest.mark.usefixtures("worker")
def test_each_schedule_has_its_rule_its_next_times_and_where_it_is_declared(server: Server, ann: TestClient) -> None:
    to_the_hour(server)
    plan(server, entry("hourly"), entry("nightly", "30 2 * * *", source="settings"), entry("beat", source="celery"))
    add_schedule(server, "every 5m", "plans.report", name="often", by="bob")
    found = {one["name"]: one for one in data(ann)["schedules"]}
    assert {name: one["source"] for name, one in found.items()} == {
        "beat": "celery", "hourly": "code", "nightly": "settings", "often": "added",
    }  # fmt: skip
    assert [at % HOUR for at in found["hourly"]["coming"]] == [0, 0, 0]
    page = ann.get("/schedule").text
    for text in ("4 schedules.", "every hour at minute 0, UTC", "every day at 02:30, UTC", "every 5 min 0 s", "by bob"):
        assert text in page
    assert re.search(r"Next comes \w+, in \d min", page)
    assert page.count("<time datetime=") == 12
    assert 'value="beat"><button' not in page
    japanese = ann.get("/schedule", headers={"accept-language": "ja"}).text
    assert "毎日 02:30" in japanese
    ann.cookies.set("onserver-tz", "Asia/Tokyo")
    assert "Asia/Tokyo" in ann.get("/schedule?zone=local").text


@pytest.mark.usefixtures("worker")
def test_schedules_are_filtered_and_come_in_pages(server: Server, ann: TestClient) -> None:
    plan(server, *(entry(f"s{index}") for index in range(5)))
    add_schedule(server, "every 5m", "plans.report", name="often")
    hold(server.store, "s3", "bob")

    def names(query: str) -> list[str]:
        return [one["name"] for one in data(ann, f"/schedule?{query}")["schedules"]]

    assert names("source=added") == ["often"]
    assert names("state=paused") == ["s3"]
    assert names("q=OFT") == ["often"]
    assert len(names("q=plans.report")) == 6
    assert names("state=no_worker") == []
    seen, cursor = list[str](), ""
    while True:
        part = data(ann, f"/schedule?limit=2&cursor={cursor}")
        seen += [one["name"] for one in part["schedules"]]
        if not part["cursor"]:
            break
        cursor = part["cursor"]
    assert seen == ["often", *(f"s{index}" for index in range(5))]
    assert "No schedule fits." in ann.get("/schedule?q=nothing").text
    for query in ("source=x", "state=x", "limit=0", "limit=201", "q=" + "x" * 201):
        assert ann.get(f"/schedule?{query}").status_code == 400, query


def test_why_one_starts_nothing(server: Server, ann: TestClient, declared: None) -> None:
    with working(server):
        plan(server, entry("hourly"))
        assert data(ann)["schedules"][0]["held"] is None
        hold(server.store, "hourly", "bob")
        assert "It is paused by bob" in ann.get("/schedule").text
        assert data(ann)["schedules"][0]["coming"] == []
        hold(server.store, "hourly", "")
        begin_maintenance_on(server, "new disks")
        assert "Maintenance holds it back" in ann.get("/schedule").text
        end_maintenance_on(server)
        server.store.command("HSET", server.store.key("server"), "state", "stopping")
        assert "The server does not run" in ann.get("/schedule").text
        server.store.command("HSET", server.store.key("server"), "state", "running")
    assert "No worker that is up has it" in ann.get("/schedule/hourly").text
    assert [row.state for row in Schedules(server.store).page()] == ["no_worker"]


RULES = {
    "every 90": "every 1 min 30 s", "*/15 * * * *": "every 15 minutes, UTC", "* * * * *": "every minute, UTC",
    "5 * * * *": "every hour at minute 5, UTC", "0 8 * * MON-FRI": "Monday to Friday at 08:00, UTC",
    "0 8 * * 1-5": "Monday to Friday at 08:00, UTC", "0 8 * * SAT,SUN": "Saturday, Sunday at 08:00, UTC",
    "0 8 * * 0": "Sunday at 08:00, UTC", "15 3 1 * *": "on day 1 of each month at 03:15, UTC",
    "*/1 * * * *": "every minute, UTC",
}  # fmt: skip


def ruled(server: Server, timing: Timing, code: str = "en") -> str:
    look = Look(server=server, actor=None, language=language(code))  # type: ignore[arg-type]  # nobody is asked
    with looking(look):
        return _rule(look, timing)


@pytest.mark.parametrize(("text", "rule"), RULES.items())
def test_everyday_rules_in_words(server: Server, text: str, rule: str) -> None:
    assert ruled(server, Timing.read(text)) == rule
    assert ruled(server, Timing.read(text), "fr") != rule


def test_other_rules_are_said_as_cron_says_them(server: Server) -> None:
    for text in (
        "0 0 L * *",
        "0 9 * * MON#1",
        "0 9,17 * * *",
        "*/7 * * * *",
        "*/10 * * * * *",
        "0 0 1 6 *",
    ):
        timing = Timing.read(text, "Europe/Paris")
        assert ruled(server, timing) == timing.words
        assert ruled(server, timing, "fr") == f"cron `{timing.text}`, Europe/Paris"
    celery = Timing.read("0 4 * * *", "Europe/Berlin", frozenset({6, 7}))
    assert ruled(server, celery) == "Saturday, Sunday at 04:00, Europe/Berlin"


# -- one schedule, and what became of it


@pytest.mark.usefixtures("worker")
def test_what_became_of_a_schedule(server: Server, ann: TestClient) -> None:
    to_the_hour(server)
    plan(server, entry("hourly", missed="skip"))
    advance(server, 6 * 60_000)
    turn(server)
    first = planned(server.store, "hourly")
    assert first.number
    advance(server, 3 * HOUR)  # nobody was there for two of these
    turn(server)
    hold(server.store, "hourly", "bob")
    advance(server, 2 * HOUR)
    hold(server.store, "hourly", "")
    ann.post("/act/schedule.run", data={"schedule": "hourly"})
    told = history(server.store, planned(server.store, "hourly"), server.store.now_ms())
    kinds = [("gap", one.count, one.paused) if isinstance(one, Gap) else (one.what, one.by) for one in told]
    assert kinds == [
        ("started", ""), ("resumed", ""), ("gap", 2, True), ("paused", "bob"), ("started", ""), ("gap", 2, False),
        ("started", ""), ("began", ""),
    ]  # fmt: skip
    page = ann.get("/schedule/hourly").text
    for text in (
        "Started by hand.", "It goes on.", "2 of its times passed in the pause.", "Paused by bob.",
        "2 of its times passed, and started nothing", "It begins with the times that it has now.",
    ):  # fmt: skip
        assert text in page
    assert re.search(r"Started for \d{4}-\d\d-\d\d \d\d:00:00 UTC, 1 min \d s late\.", page)
    assert [one["what"] for one in data(ann, "/schedule/hourly")["history"]][:2] == ["started", "resumed"]
    assert len(data(ann, "/schedule/hourly")["coming"]) == 10
    assert "they are left out" in page


@pytest.mark.usefixtures("worker")
def test_times_that_nobody_starts_are_missed_while_one_looks(server: Server) -> None:
    to_the_hour(server)
    plan(server, entry("hourly"))
    store = server.store
    assert [type(one) for one in history(store, planned(store, "hourly"), store.now_ms())] == [Step]
    advance(server, 6 * 60_000)
    newest = history(store, planned(store, "hourly"), store.now_ms())[0]
    assert isinstance(newest, Gap)
    assert newest.count == 1
    plan(server, entry("hourly", "30 * * * *"))  # with other times it begins again
    assert [type(one) for one in history(store, planned(store, "hourly"), store.now_ms())] == [Step, Step]


def test_what_became_of_it_is_bounded_and_goes_with_it(server: Server, declared: None) -> None:
    with working(server):
        add_schedule(server, "every 5m", "plans.report", name="often")
        for _ in range(60):
            hold(server.store, "often", "bob")
            hold(server.store, "often", "")
        assert len(steps_of(server.store, "often")) == 100
        assert not [orphan for orphan in find_orphans(server.store) if "starts:" in str(orphan)]
        browser(server).post("/act/schedule.remove", data={"schedule": "often", "confirm": "yes"})
        assert not server.store.command("EXISTS", server.store.key("starts:often"))


@pytest.mark.usefixtures("worker")
def test_one_that_there_is_not(server: Server, ann: TestClient) -> None:
    plan(server, entry("jobs.hourly"))
    for name in ("hourly", "nobody", "a/b", ""):
        assert ann.get(f"/schedule/{name}", follow_redirects=True).status_code == 404, name
    assert "There is no schedule nobody" in ann.get("/schedule/nobody").text


@pytest.mark.usefixtures("worker")
def test_arguments_are_for_those_who_may_see_values_and_secrets_for_nobody(server: Server) -> None:
    add_schedule(server, "every 5m", "plans.report", ["the xyzzy"], {"token": "plugh"}, name="often")
    ann, viewer = browser(server), browser(server, ["viewer"])
    page = ann.get("/schedule/often").text
    assert "the xyzzy" in page
    assert "plugh" not in page
    assert "•••" in page
    assert "plugh" not in ann.get("/schedule/often", headers=JSON).text
    add_schedule(server, "every 5m", "plans.secret", ["hush"], name="quiet")
    for path in ("/schedule", "/schedule/quiet"):
        assert "hush" not in ann.get(path).text
        assert "hush" not in ann.get(path, headers=JSON).text
    assert "&lt;redacted&gt;" in ann.get("/schedule/quiet").text
    for path in ("/schedule", "/schedule/often"):
        assert "xyzzy" not in viewer.get(path).text
        assert "xyzzy" not in viewer.get(path, headers=JSON).text
    assert "admin.data" in viewer.get("/schedule/often").text


# -- what can be done


@pytest.mark.usefixtures("worker")
def test_who_may_not_change_anything_sees_no_button(server: Server) -> None:
    add_schedule(server, "every 5m", "plans.report", name="often")
    for eve in (browser(server, ["viewer"]), browser(server, read_only=True)):
        for path in ("/schedule", "/schedule/often"):
            assert "/act/" not in eve.get(path).text


def forms(page: str, name: str) -> list[dict[str, str]]:
    """The fields of each form of an action, as a browser would send them."""
    found = re.findall(rf'<form[^>]*action="/act/{re.escape(name)}".*?</form>', page, re.DOTALL)
    return [
        {
            unescape(key): unescape(value)
            for key, value in [
                *re.findall(r'<input type="(?:hidden|text)" name="([^"]*)" value="([^"]*)"', form),
                *re.findall(r'<textarea name="([^"]*)"[^>]*>([^<]*)</textarea>', form),
            ]
        }
        for form in found
    ]


@pytest.mark.usefixtures("worker")
def test_one_is_run_paused_and_resumed_by_its_buttons(server: Server, ann: TestClient) -> None:
    plan(server, entry("hourly"), entry("beat", source="celery"))
    for path in ("/schedule", "/schedule/hourly"):
        page = ann.get(path).text
        assert forms(page, "schedule.run") == [{"schedule": "hourly"}], path
        assert {"schedule": "hourly"} in forms(page, "schedule.pause")
        ann.post("/act/schedule.run", data={"schedule": "hourly"})
        ann.post("/act/schedule.pause", data={"schedule": "hourly"})
        assert planned(server.store, "hourly").paused == "ann"
        page = ann.get(path).text
        assert forms(page, "schedule.resume") == [{"schedule": "hourly"}]
        ann.post("/act/schedule.resume", data={"schedule": "hourly"})
        assert planned(server.store, "hourly").paused == ""
    assert [step.what for step in steps_of(server.store, "hourly")][:3] == ["resumed", "paused", "started"]
    said = ann.post("/act/schedule.run", data={"schedule": "beat"}, follow_redirects=True)
    assert "beat_schedule" in said.text
    assert "is changed there" in ann.get("/schedule/hourly").text
    assert "schedule.change" not in ann.get("/schedule/hourly").text


@pytest.mark.usefixtures("worker")
def test_one_is_added_changed_and_removed_by_its_forms(server: Server, ann: TestClient) -> None:
    (empty,) = forms(ann.get("/schedule").text, "schedule.add")
    assert set(empty) >= {"times", "procedure", "name", "timezone", "args", "kwargs"}
    added = {
        "times": "0 2 * * *",
        "procedure": "plans.report",
        "name": "nightly",
        "args": '["monday"]',
        "missed": "all",
    }
    assert ann.post("/act/schedule.add", data={**empty, **added}).status_code == 303
    found = planned(server.store, "nightly").entry
    assert (found.missed, found.args, found.by) == ("all", ["monday"], "ann")
    (form,) = forms(ann.get("/schedule/nightly").text, "schedule.change")
    assert form == {"schedule": "nightly", "times": "0 2 * * *", "timezone": "UTC", "args": '["monday"]', "kwargs": ""}
    said = ann.post(
        "/act/schedule.change", data={**form, "times": "30 3 * * *", "missed": "skip"}, follow_redirects=True
    )
    assert "Schedule nightly is changed" in said.text
    found = planned(server.store, "nightly").entry
    assert (found.timing.text, found.missed, found.args) == ("30 3 * * *", "skip", ["monday"])
    assert [step.what for step in steps_of(server.store, "nightly")] == ["began", "began"]
    refused = ann.post("/act/schedule.change", data={**form, "times": "sometimes"}, headers=JSON)
    assert refused.status_code == 422
    (form,) = forms(ann.get("/schedule/nightly").text, "schedule.remove")
    assert "about to be done" in ann.post("/act/schedule.remove", data=form).text
    gone = ann.post("/act/schedule.remove", data={**form, "confirm": "yes", "back": "/schedule/nightly"})
    assert gone.headers["location"] == "/schedule"
    assert ann.get("/schedule/nightly").status_code == 404


@pytest.mark.usefixtures("worker")
def test_what_is_not_given_stays_and_what_is_declared_is_not_changed(server: Server) -> None:
    add_schedule(server, "0 2 * * *", "plans.report", ["x"], name="nightly", timezone="Europe/Paris", missed="all")
    hold(server.store, "nightly", "bob")
    began = planned(server.store, "nightly").last_ms
    changed, done = change_schedule(server, "nightly", args=["y"], by="eve")
    assert (done, changed.args, changed.timing.timezone, changed.missed) == (True, ["y"], "Europe/Paris", "all")
    again = planned(server.store, "nightly")
    assert (again.paused, again.last_ms, again.entry.by) == ("bob", began, "eve")
    with pytest.raises(BadDeclaration):
        change_schedule(server, "nightly", timezone="Europe/Nowhere")
    with pytest.raises(ScheduleNotFound):
        change_schedule(server, "nobody", times="0 2 * * *")
    plan(server, entry("hourly"))
    same, done = change_schedule(server, "hourly", times="0 2 * * *")
    assert (done, same.timing.text) == (False, "0 * * * *")
    refused = browser(server).post(
        "/act/schedule.change", data={"schedule": "hourly", "times": "0 1 * * *"}, headers=JSON
    )
    assert refused.status_code == 422
    assert "change it there" in refused.json()["error"]["message"]


@pytest.mark.usefixtures("worker")
def test_every_link_leads_to_a_page(server: Server, ann: TestClient) -> None:
    plan(server, entry("hourly"), entry("jobs.nightly", "0 2 * * *"))
    ann.post("/act/schedule.run", data={"schedule": "hourly"})
    found = {
        address
        for path in ("/schedule?limit=1", "/schedule/hourly")
        for address in re.findall(r'href="(/[^"#]*)', ann.get(path).text)
    }
    assert len(found) > 10
    for address in found:
        assert ann.get(unescape(address)).status_code == 200, address


# -- django-celery-beat, which keeps its entries in Django's database


class Rows(list[Any]):
    """What a query of Django's answers."""

    def select_related(self, *_names: str) -> Rows:
        return self

    def filter(self, name__icontains: str) -> Rows:
        return Rows(row for row in self if name__icontains.lower() in row.name.lower())

    def order_by(self, name: str) -> Rows:
        return Rows(sorted(self, key=lambda row: getattr(row, name)))


class Named(SimpleNamespace):
    def __str__(self) -> str:
        return str(self.said)


def task(
    name: str, *, enabled: bool = True, runs: int = 0, last: datetime | None = None, **kind: Any
) -> SimpleNamespace:
    """An entry, with the attributes that its model has."""
    kinds = dict.fromkeys(("interval", "crontab", "solar", "clocked", "start_time", "expires")) | kind
    return SimpleNamespace(
        name=name, task=f"proj.{name}", enabled=enabled, last_run_at=last, total_run_count=runs, **kinds
    )


def crontab(minute: str, hour: str, day: str = "*", weekday: str = "*", zone: str = "Europe/Paris") -> Named:
    return Named(minute=minute, hour=hour, day_of_month=day, month_of_year="*", day_of_week=weekday, timezone=zone,
                 said=f"{minute} {hour} (m/h)")  # fmt: skip


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """The models of django-celery-beat, in a program that has loaded them."""
    rows = Rows()
    models = SimpleNamespace(PeriodicTask=SimpleNamespace(objects=rows))
    database = SimpleNamespace(close_old_connections=lambda: None, Error=ConnectionError)
    monkeypatch.setitem(sys.modules, "django_celery_beat.models", models)
    monkeypatch.setitem(sys.modules, "django.db", database)
    return rows


def test_entries_of_django_are_shown_where_the_program_has_them(server: Server, ann: TestClient, beat: Rows) -> None:
    now = datetime.fromtimestamp(server.store.now_ms() / 1000, UTC)
    beat += [
        task("nightly", crontab=crontab("0", "2"), runs=7, last=now - timedelta(hours=3)),
        task("off", crontab=crontab("0", "2"), enabled=False),
        task("friday13", crontab=crontab("0", "2", "13", "5")),
        task("odd", crontab=crontab("0", "2", weekday="fri-mon")),
        task(
            "often",
            interval=Named(every=10, period="minutes", said="every 10 minutes"),
            last=now - timedelta(minutes=4),
        ),
        task("never", interval=Named(every=10, period="minutes", said="every 10 minutes")),
        task("sun", solar=Named(said="sunset (48.8, 2.3)")),
        task("once", clocked=Named(clocked_time=now + timedelta(hours=1), said="in an hour")),
        task("ends", crontab=crontab("*", "*"), expires=now + timedelta(minutes=2)),
    ]
    found = {one["name"]: one for one in data(ann)["django"]}
    assert list(found) == sorted(found)
    assert (found["nightly"]["times"], found["nightly"]["runs"], len(found["nightly"]["coming"])) == ("0 2 * * *", 7, 3)
    assert {name: len(found[name]["coming"]) for name in ("off", "friday13", "odd", "never", "sun", "once")} == {
        "off": 0, "friday13": 0, "odd": 0, "never": 0, "sun": 0, "once": 1,
    }  # fmt: skip
    assert 5 * 60_000 < found["often"]["coming"][0] - now.timestamp() * 1000 < 7 * 60_000
    assert len(found["ends"]["coming"]) <= 2
    page = ann.get("/schedule").text
    for text in ("every day at 02:00, Europe/Paris", "sunset (48.8, 2.3)", "proj.sun", "disabled", "every 10 min 0 s"):
        assert text in page
    assert [one["name"] for one in data(ann, "/schedule?q=OFT")["django"]] == ["often"]


def test_a_database_that_does_not_answer_is_told_of(
    server: Server, ann: TestClient, beat: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_names: str) -> Rows:
        raise ConnectionError("no such table: django_celery_beat_periodictask")

    monkeypatch.setattr(beat, "select_related", refused)
    assert "The database did not answer: no such table" in ann.get("/schedule").text
    assert data(ann)["django_problem"].startswith("no such table")


def test_a_program_without_it_says_nothing_of_it(ann: TestClient) -> None:
    assert "django" not in data(ann)
    assert "django-celery-beat" not in ann.get("/schedule").text


@pytest.mark.usefixtures("worker")
def test_who_watches_is_told_of_every_change(server: Server) -> None:
    add_schedule(server, "every 5m", "plans.report", ["x"], name="often")
    seen = [pulse(server.store).marks["schedule"]]
    change_schedule(server, "often", args=["y"])
    seen.append(pulse(server.store).marks["schedule"])
    hold(server.store, "often", "bob")
    seen.append(pulse(server.store).marks["schedule"])
    assert len(set(seen)) == 3
