"""`onserver doctor`: is everything as it ought to be, and what is to be done where it is not."""

from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.doctor.examination import examine
from onserver.doctor.findings import Finding

_MARKS: Final = {"well": "✓", "note": "!", "wrong": "✗"}


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended safely.")
@click.option("--strict", is_flag=True, help="What is only worth knowing counts as well.")
@common_options
@pass_invocation
def doctor(invocation: Invocation, fix: bool, strict: bool) -> int:
    """Look at settings, project, Redis, clocks, workers, leftover locks and keys, and backups.

    Exit status: 0 all is well, 2 the settings cannot be read, 6 cannot reach Redis, 10 something is to be done.
    """
    server = invocation.server()
    told: list[dict[str, Any]] = []
    left = 0
    for finding in examine(server, invocation.project):
        done = finding.mend() if fix and finding.mend is not None and finding.level != "well" else ""
        counts = finding.level == "wrong" or (strict and finding.level == "note")
        left += counts and not done
        told.append(_facts(finding, done))
        if not invocation.screen.json:
            click.echo(_line(finding, done))
    if invocation.screen.json:
        invocation.screen.result({"findings": told, "left": left})
    return exits.FINDINGS if left else exits.DONE


def _line(finding: Finding, done: str) -> str:
    if done:
        return f"{_MARKS['well']} {finding.text} → mended: {done}"
    return f"{_MARKS[finding.level]} {finding.text}{f' → {finding.cure}' if finding.cure else ''}"


def _facts(finding: Finding, done: str) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level,
        "text": finding.text,
        "cure": finding.cure,
        "can_mend": finding.mend is not None,
        "done": done,
    }
