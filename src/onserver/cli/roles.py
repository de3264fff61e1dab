"""`onserver roles`: whether `config/roles.json` is right, what it says, and whether a role has a privilege, and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.doctor.required import undeclared
from onserver.errors import RoleNotFound
from onserver.errors.texts import count, place
from onserver.project import import_tasks
from onserver.session.roles import Roles
from onserver.session.roles_file import FILE, Reading, read_roles_file
from onserver.session.roles_resources import GUEST, key_of
from onserver.steer.acts_roles import reload_roles
from onserver.views.roles_seen import accesses, as_dict


@click.group()
@common_options
def roles() -> None:
    """Check, show and ask the privileges and roles of the project.

    Exit status: 0 done, 2 the project does not load, 4 not found, or the role does not have the privilege, 10 something
    is wrong with the file, or the code asks for a privilege that it does not declare.
    """


@roles.command()
@common_options
@pass_invocation
def check(invocation: Invocation) -> int:
    """Read `config/roles.json` as a worker does, and tell everything that is wrong with it.

    When nothing is, the project is loaded, to tell each name in `requires=` that the file does not declare.
    """
    reading = _read(invocation)
    if reading.wrong:
        return _told_wrong(invocation, reading)
    missing = list(_missing(invocation, reading))
    return _told_missing(invocation, reading, missing) if missing else _told_well(invocation, reading)


@roles.command()
@common_options
@pass_invocation
def show(invocation: Invocation) -> int:
    """Tell what each role gives, what each privilege includes, and which privileges each access takes."""
    reading = _read(invocation)
    if reading.roles is None:
        return _told_wrong(invocation, reading)
    invocation.screen.result(as_dict(reading.roles), "\n\n".join(_shown(reading.roles)))
    return exits.DONE


@roles.command()
@click.argument("role")
@click.argument("privilege")
@common_options
@pass_invocation
def can(invocation: Invocation, role: str, privilege: str) -> int:
    """Tell whether a role has a privilege, and why; a privilege is taken for what it includes."""
    reading = _read(invocation)
    if reading.roles is None:
        return _told_wrong(invocation, reading)
    known = reading.roles
    _require(role, [*known.roles, *known.privileges])
    _require(privilege, list(known.privileges))
    verdict = known.holds([role], privilege)
    data = {"role": role, "privilege": privilege, "allowed": verdict.allowed, "why": verdict.why}
    invocation.screen.result(data, f"{'yes' if verdict.allowed else 'no'}: {verdict.why}")
    return exits.DONE if verdict.allowed else exits.NOT_FOUND


@roles.command("reload")
@common_options
@pass_invocation
def reload_file(invocation: Invocation) -> int:
    """Read the file anew, and tell what it grants and withdraws since somebody has done so last.

    A changed file is in force at once, without this: who does it takes note of what that means, and it is written down.

    Exit status: 0 done, 2 the file is wrong, and what held before stays in force, 6 cannot reach Redis.
    """
    known, changed = reload_roles(invocation.server())
    granted, withdrawn = [str(one) for one in changed.granted], [str(one) for one in changed.withdrawn]
    lines = [f"+ {one}" for one in granted] + [f"- {one}" for one in withdrawn] or ["nothing changed"]
    data = {"roles": len(known.roles), "granted": granted, "withdrawn": withdrawn}
    invocation.screen.result(data, "\n".join(lines))
    return exits.DONE


@roles.command()
@pass_invocation
def schema(invocation: Invocation) -> None:  # noqa: ARG001  # as every verb
    """Print the JSON Schema of the file, for editors."""
    click.echo((files("onserver.session") / "roles.schema.json").read_text(encoding="utf-8"), nl=False)


def _read(invocation: Invocation) -> Reading:
    file = invocation.project / FILE
    reading = read_roles_file(file)
    if reading is None:
        invocation.screen.say(f"there is no {FILE}: nobody has any privilege, and what asks for one is closed")
        return Reading(roles=Roles(), findings=())
    return reading


def _missing(invocation: Invocation, reading: Reading) -> Iterator[dict[str, Any]]:
    """Yield what the code asks for and the file does not declare; nothing where there is no file.

    Raises:
        ImportFailed: ONS-1002, the project does not load.
        DuplicateName: ONS-1006, likewise.
    """
    if reading.roles is None or not (invocation.project / FILE).exists():
        return
    server = invocation.server()
    import_tasks(invocation.project, server.settings.components)
    for found in undeclared(server, invocation.project, reading.roles):
        yield {
            "file": found.file,
            "line": found.line,
            "level": "wrong",
            "problem": found.problem,
            "procedure": found.procedure,
            "privilege": found.privilege,
            "nearest": found.nearest,
        }


def _require(name: str, names: list[str]) -> None:
    keys = {key_of(one): one for one in names}
    if key_of(name) not in keys and key_of(name) != GUEST:
        near = difflib.get_close_matches(key_of(name), keys)
        raise RoleNotFound(name, [keys[one] for one in near])


# ---- what check tells


def _told_well(invocation: Invocation, reading: Reading) -> int:
    assert reading.roles is not None
    _tell_notes(invocation, reading)
    given, privileges = len(reading.roles.roles), len(reading.roles.privileges)
    told = f"{count(given, 'role', 'roles')}, {count(privileges, 'privilege', 'privileges')}, 0 findings"
    invocation.screen.result(_checked(reading), f"{FILE}: {told}")
    return exits.DONE


def _told_wrong(invocation: Invocation, reading: Reading) -> int:
    lines = [f"{FILE}{f':{found.line}' if found.line else ''}  {found.problem}" for found in reading.wrong]
    lines.append(f"{FILE}: {count(len(reading.wrong), 'finding', 'findings')}; no worker starts with it")
    invocation.screen.result(_checked(reading), "\n".join(lines))
    return exits.FINDINGS


def _told_missing(invocation: Invocation, reading: Reading, missing: list[dict[str, Any]]) -> int:
    _tell_notes(invocation, reading)
    lines = [f"{one['file']}:{one['line']}  {one['problem']}" for one in missing]
    lines.append(f"{FILE}: {count(len(missing), 'finding', 'findings')}; nobody has what is not declared")
    data = _checked(reading)
    invocation.screen.result(data | {"right": False, "findings": data["findings"] + missing}, "\n".join(lines))
    return exits.FINDINGS


def _tell_notes(invocation: Invocation, reading: Reading) -> None:
    for found in reading.findings:
        invocation.screen.say(f"note  {place(FILE, found.line)}: {found.problem}")


def _checked(reading: Reading) -> dict[str, Any]:
    found = [{"line": one.line, "level": one.level, "problem": one.problem} for one in reading.findings]
    known = reading.roles
    counts = {"roles": len(known.roles), "privileges": len(known.privileges)} if known else {}
    return {"file": FILE, "right": known is not None, **counts, "findings": found}


# ---- what show tells


def _shown(known: Roles) -> Iterator[str]:
    if known.roles:
        rows = [{"role": role, "gives": _gives(known, role)} for role in known.roles]
        yield columns(("role", "gives"), rows)
    if known.privileges:
        yield columns(("privilege", "includes", "given by"), [_privilege_row(known, name) for name in known.privileges])
    if known.permissions:
        found = [one for permission in known.permissions.values() for one in accesses(permission)]
        rows = [{"access": access, "takes one of": names} for access, names in found]
        yield columns(("access", "takes one of"), rows)
    rest = "closed" if known.restricted_by_default else "open to everybody"
    login = "has to log in before anything else" if known.force_login else "need not log in"
    yield f"restrictedByDefault: what nothing is said about is {rest}\nforceLogin: a web session {login}"


def _gives(known: Roles, role: str) -> str:
    own = {key_of(name) for name in known.roles[role]}
    given = known.listed([role])
    direct = ", ".join(name for name in given if key_of(name) in own)
    included = ", ".join(name for name in given if key_of(name) not in own)
    return f"{direct}, and so {included}" if included else direct or "nothing"


def _privilege_row(known: Roles, name: str) -> dict[str, str]:
    included = [one for one in known.listed([name]) if key_of(one) != key_of(name)]
    givers = known.givers(name)
    return {"privilege": name, "includes": ", ".join(included) or "-", "given by": ", ".join(givers) or "-"}
