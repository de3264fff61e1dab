"""The benchmarks run from end to end, on tiny counts: whether they measure, not what."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import costs, curves, goals, page, report
from benchmarks.measures import Figures
from benchmarks.peers import __main__ as peers_program
from benchmarks.peers import report as peers_report
from benchmarks.peers.systems import SYSTEMS
from benchmarks.programs import ROOT


def run(out: Path, *words: str) -> dict[str, object]:
    assert program.main(["--quick", "--silent", "--out", str(out), *words]) == 0
    written: dict[str, object] = json.loads(out.read_text())
    return written


def test_a_drain_of_both_sides_prints_a_table_and_writes_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = run(tmp_path / "bench" / "out.json", "--only", "drain", "--sides", "stock,ours")
    assert isinstance(written["rows"], list)
    labels = [row["label"].strip() for row in written["rows"]]
    assert "drain of queued no-op processes" in labels
    assert "memory of the worker tree, PSS" not in labels
    assert all(row["stock"] > 0 for row in written["rows"])
    said = capsys.readouterr()
    assert "stock Celery" in said.out
    assert said.err == ""


def test_the_shared_state_loses_nothing(tmp_path: Path) -> None:
    written = run(tmp_path / "out.json", "--only", "shared", "--sides", "ours")
    assert isinstance(written["results"], dict)
    (figures,) = written["results"]["shared"]["ours"]
    assert figures["use8_per_s"] > 0
    assert 0 < figures["use8_fairness"] <= 1


def test_the_cost_of_many_that_wait_is_compared_with_that_of_few(tmp_path: Path) -> None:
    written = run(tmp_path / "out.json", "--only", "growth")
    assert isinstance(written["rows"], list)
    rows = {row["label"].strip(): row for row in written["rows"]}
    assert len(rows) == 8
    assert all(row["stock"] > 0 and row["ours"] > 0 for row in rows.values())
    assert [label for label, row in rows.items() if not row["judged"]] == ["for a beat, of each in turn"]


def test_the_curves_have_a_point_for_each_size_and_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "curves.json"
    assert curves.main(["--quick", "--out", str(out)]) == 0
    written = json.loads(out.read_text())["curves"]
    assert set(written) == set(curves.QUICK_AXES)
    for title, (_, sizes) in curves.QUICK_AXES.items():
        assert all(len(costs) == len(sizes) and min(costs) > 0 for costs in written[title]["steps"].values())
    assert "the last to the first" in capsys.readouterr().out


def test_the_cost_of_a_session_among_many_is_compared_with_that_among_few(tmp_path: Path) -> None:
    written = run(tmp_path / "out.json", "--only", "sessions")
    assert isinstance(written["rows"], list)
    rows = {row["label"].strip(): row for row in written["rows"]}
    assert len(rows) == 5
    assert all(row["stock"] > 0 and row["ours"] > 0 and row["judged"] for row in rows.values())


def test_what_a_promise_costs_is_told_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert costs.main(["--quick"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [re.sub(r"-?[\d.]+%", "N", line) for line in told] == [
        f"{what}: N of the CPU time of a process (N to N in 1 turns); at most N is to be"
        for what in ("signature", "history")
    ]


def test_an_unknown_measure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--only", "drian"])
    assert "there is no drian; there are drain, " in capsys.readouterr().err


def results(stock: list[Figures], ours: list[Figures]) -> report.Results:
    return {"calls": {"stock": stock, "ours": ours}}


@pytest.mark.parametrize(
    ("main", "option"),
    [(program.main, "--reps"), (curves.main, "--reps"), (peers_program.main, "--reps"), (costs.main, "--turns")],
)
def test_to_measure_nothing_is_refused(
    main: Callable[[list[str]], int], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, "0"])
    assert ended.value.code == 2
    assert f"argument {option}: 0 times is nothing: 1 at least" in capsys.readouterr().err


def test_a_ratio_is_taken_within_a_repetition_and_is_above_one_where_ours_is_better() -> None:
    (line,) = report.lines(
        results([{"p50": 4.0}, {"p50": 40.0}, {"p50": 3.0}], [{"p50": 2.0}, {"p50": 10.0}, {"p50": 3.0}])
    )
    assert (line.stock, line.ours, line.ratio) == (4.0, 3.0, 2.0)
    assert not report.slower([line])


def test_a_cost_that_grows_is_named() -> None:
    few: list[Figures] = [{"claim_us": 10.0, "ps_ms": 2.0}]
    many: list[Figures] = [{"claim_us": 14.0, "ps_ms": 4.0}]
    found = report.lines({"growth": {"stock": few, "ours": many}})
    assert report.slower(found) == ["for the first page of ps"]


def test_a_row_in_which_celery_is_better_is_named() -> None:
    found = report.lines(results([{"callers_per_s": 10.0}], [{"callers_per_s": 5.0}]))
    assert report.slower(found) == ["32 callers in one program"]


def test_requests_with_sessions_are_compared_with_those_of_the_frameworks(tmp_path: Path) -> None:
    written = run(tmp_path / "out.json", "--only", "web")
    assert isinstance(written["rows"], list)
    assert len(written["rows"]) == 9
    assert all(row["stock"] > 0 and row["ours"] > 0 for row in written["rows"])
    assert [row["judged"] for row in written["rows"]] == [False] * 3 + [True] * 6, "Starlette's has no server to ask"


def test_peers_are_measured_beside_us_and_the_loop_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "peers.json"
    words = ["--quick", "--only", "drain,enqueue", "--who", "ours,loop by hand", "--out", str(out)]
    assert peers_program.main(words) == 0
    written = json.loads(out.read_text())
    rows = {row["label"]: row for row in written["rows"]}
    assert set(rows["enqueue one by one"]["ratios"]) == {"loop by hand"}
    assert written["facts"]["versions"]["loop by hand"]["redis"]
    assert "enqueue many in one call" in capsys.readouterr().out


def test_ours_is_compared_with_the_best_peer_in_each_repetition() -> None:
    figures: dict[str, list[Figures | None]] = {
        "ours": [{"per_s": 20.0}, {"per_s": 40.0}, {"per_s": 30.0}],
        "huey": [{"per_s": 10.0}, None, {"per_s": 10.0}],
        "dramatiq": [{"per_s": 5.0}, {"per_s": 4.0}, {"per_s": 4.0}],
        "loop by hand": [{"per_s": 100.0}] * 3,
    }
    (row,) = peers_report.compare({"drain": dict(figures)})
    assert (row.best, row.best_that_redelivers) == ("huey", "dramatiq")
    assert row.ratios == {"huey": 2.5, "dramatiq": 7.5, "loop by hand": 0.3}


@pytest.mark.parametrize(
    ("must", "aim", "said"),
    [
        ("≤ 0.8", "≤ 0.5", "must"), ("≤ 0.8", "≤ 0.7", "aim"), ("≥ 1,200", "", "no"), ("≥ 2 x best", "", "must"),
        ("≥ 2 x best", "≥ 1 x by hand", "must"), ("≥ 4 x best", "", "no"), ("≥ 1 x Celery", "", "no"), ("", "", ""),
    ],
)  # fmt: skip
def test_a_goal_is_of_the_figure_or_of_a_ratio(must: str, aim: str, said: str) -> None:
    assert goals.reached(must, aim, 0.6, {"best": 3.0, "by hand": 0.5}) == said


def test_the_page_has_a_place_for_each_run() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for kind, image in page.IMAGES.items():
        anew = page.placed(text, kind, "| figures |")
        assert f"<!-- {kind} -->\n\n| figures |\n\n<!-- end -->" in anew
        assert anew.count("<!--") == text.count("<!--")
        assert f"](images/{image})" in text
    with pytest.raises(ValueError, match="no place"):
        page.placed(text, "nothing", "")


def test_every_peer_is_measured_with_versions_that_are_pinned() -> None:
    for system in SYSTEMS.values():
        pinned = (ROOT / "requirements" / f"{system.set or 'bench'}.txt").read_text()
        for package in system.packages:
            assert package == "onserver" or f"\n{package}==" in f"\n{pinned}", f"{system.name}: {package}"


@pytest.mark.long
def test_a_crowd_of_remote_clients_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.remote_clients", "20", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    assert figures["clients"] == 20
    assert 0 < figures["call_p50_ms"] <= figures["call_p95_ms"]
