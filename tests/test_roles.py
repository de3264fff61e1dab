"""Privileges and roles: every row of section 8 of the specification, by its number, and what holds for all files."""

from __future__ import annotations

import json
import pickle
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onserver.session.roles import Roles
from onserver.session.roles_file import read_roles
from onserver.session.roles_resources import ACTIONS, Action, Resource, ResourceType
from tests.roles_made import documents

FILE: dict[str, Any] = {
    "privileges": [
        {"privilege": "simple", "includes": []},
        {"privilege": "medium", "includes": ["simple"]},
        {"privilege": "top", "includes": ["medium"]},
        {"privilege": "other"},
        {"privilege": "none"},
    ],
    "roles": [{"role": "Medium", "privileges": ["medium"]}, {"role": "Chief", "privileges": ["top", "other"]}],
    "permissions": {"allowed": []},
}


def made(*allowed: dict[str, Any], **top: Any) -> Roles:
    """Roles with these permissions: (type, name, actions…)."""
    return read_roles(json.dumps(FILE | {"permissions": {"allowed": list(allowed)}} | top).encode()).required()


def on(kind: str, name: str, **actions: str | list[str]) -> dict[str, Any]:
    lists = {action: [found] if isinstance(found, str) else found for action, found in actions.items()}
    return {"applyTo": name, "type": kind, **lists}


def told(text: str) -> dict[str, Any]:
    """Read a permission written as `dataclass A read=simple|other update=top`."""
    kind, name, *actions = text.split()
    lists = [action.split("=") for action in actions]
    return on(kind, name, **{action: [one for one in found.split("|") if one] for action, found in lists})


def asked(roles: Roles, granted: str, action: str, resource: str) -> bool:
    """Ask in one line: `asked(roles, "simple", "read", "attribute Invoice.amount")`."""
    kind, name = resource.split()
    return roles.may(granted.split(), cast("Action", action), Resource(cast("ResourceType", kind), name)).allowed


# ---- 8.2 fields, 8.3 default content


@pytest.mark.parametrize(
    ("row", "document", "right"),
    [
        ("8.2 privileges is required", {"permissions": {}}, False),
        ("8.2 permissions is required", {"privileges": []}, False),
        ("8.2 roles is not", {"privileges": [], "permissions": {}}, True),
        ("8.2 permissions.allowed is not", {"privileges": [], "permissions": {}}, True),
        ("8.2 applyTo is required", FILE | {"permissions": {"allowed": [{"type": "method"}]}}, False),
        ("8.2 type is required", FILE | {"permissions": {"allowed": [{"applyTo": "a.b"}]}}, False),
        ("8.2 type is one of six", FILE | {"permissions": {"allowed": [{"applyTo": "a", "type": "table"}]}}, False),
        ("8.2 names ignore case", FILE | {"roles": [{"role": "r", "privileges": ["SIMPLE"]}]}, True),
        ("8.2 and so do declarations", FILE | {"privileges": [{"privilege": "a"}, {"privilege": "A"}]}, False),
        ("8.2 WebAdmin is reserved", FILE | {"privileges": [*FILE["privileges"], {"privilege": "webadmin"}]}, False),
        ("8.2 and not for roles either", FILE | {"roles": [{"role": "WebAdmin", "privileges": []}]}, False),
        ("8.2 guest", FILE | {"permissions": {"allowed": [on("method", "ds.login", execute="guest")]}}, True),
        ("8.6 a circle is refused", FILE | {"privileges": [{"privilege": "a", "includes": ["a"]}]}, False),
        ("8.6 roles hold none", FILE | {"roles": [*FILE["roles"], {"role": "r", "privileges": ["Chief"]}]}, False),
    ],
)  # fmt: skip
def test_what_a_file_may_say(row: str, document: dict[str, Any], right: bool) -> None:
    assert (read_roles(json.dumps(document).encode()).roles is not None) == right, row


def test_8_2_what_is_optional_is_false_or_empty() -> None:
    roles = read_roles(b'{"privileges": [], "permissions": {}}').required()
    assert (roles.restricted_by_default, roles.force_login, roles.roles, roles.permissions) == (False, False, {}, {})


CLOSED = {  # 8.3: what 20 R6 to 20 R10 write into a new project
    "privileges": [{"privilege": "none", "includes": []}],
    "roles": [],
    "permissions": {
        "allowed": [
            on("datastore", "ds", **dict.fromkeys(["read", "create", "update", "drop", "execute", "promote"], "none"))
        ]
    },
    "forceLogin": True,
}
OPEN = {  # 8.3: what 21 R4 does
    "privileges": [],
    "roles": [],
    "permissions": {"allowed": []},
    "restrictedByDefault": False,
    "forceLogin": False,
}


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize(("document", "closed"), [(CLOSED, True), (OPEN, False)])
def test_8_3_the_default_content_closes_or_opens_everything(document: dict[str, Any], closed: bool, kind: str) -> None:
    roles = read_roles(json.dumps(document).encode()).required()
    name = "ds" if kind == "datastore" else "Some.thing"
    for action in ACTIONS[kind]:
        assert asked(roles, "", action, f"{kind} {name}") is not closed
        assert asked(roles, "none", action, f"{kind} {name}"), "it is a privilege like others; nobody is given it"
    assert roles.force_login is closed


def test_8_3_without_a_file_all_is_closed() -> None:
    roles = Roles()
    assert roles.force_login
    assert not any(
        asked(roles, "simple", action, f"{kind} Some.thing") for kind, found in ACTIONS.items() for action in found
    )


# ---- 8.4 actions per resource


@pytest.mark.parametrize(
    ("kind", "actions"),
    [
        ("datastore", "create read update drop execute"),
        ("dataclass", "create read update drop execute"),
        ("attribute", "create read update drop"),
        ("method", "execute"),
        ("singleton", "execute"),
        ("singletonMethod", "execute"),
    ],
)
def test_8_4_each_type_has_its_actions_and_no_others(kind: str, actions: str) -> None:
    name = "ds" if kind == "datastore" else "Some.thing"
    for action in ("create", "read", "update", "drop", "execute"):
        document = FILE | {"permissions": {"allowed": [on(kind, name, **{action: "simple"})]}}
        right = action in actions.split()
        assert (read_roles(json.dumps(document).encode()).roles is not None) == right, action
        resource = Resource(cast("ResourceType", kind), name)
        if not right:
            with pytest.raises(ValueError, match=rf"has no action '{action}'"):
                Roles().may([], action, resource)


@pytest.mark.parametrize("kind", ["method", "singleton", "singletonMethod"])
def test_8_4_promote_adds_privileges_while_a_function_runs(kind: str) -> None:
    roles = made(on(kind, "Rates.set", promote="medium"))
    assert roles.promotes(Resource(cast("ResourceType", kind), "Rates.set")) == {"medium", "simple"}
    assert roles.promotes(Resource(cast("ResourceType", kind), "Rates.get")) == frozenset()


def test_8_4_what_a_singleton_promotes_all_its_functions_have() -> None:
    roles = made(on("singleton", "Rates", promote="medium"), on("singletonMethod", "Rates.set", promote="other"))
    assert roles.promotes(Resource("singletonMethod", "Rates.get")) == {"medium", "simple"}
    assert roles.promotes(Resource("singletonMethod", "Rates.set")) == {"other"}


@pytest.mark.parametrize(
    ("action", "nature", "allowed"),
    [
        ("update", "stored", False),
        ("update", "alias", True),  # 8.4: aliases ignored
        ("update", "computed", False),
        ("drop", "stored", False),
        ("drop", "alias", True),  # 8.4: not aliases
        ("drop", "computed", True),  # 8.4: not computed
    ],
)
def test_8_4_what_permissions_of_attributes_do_not_reach(action: Action, nature: Any, allowed: bool) -> None:
    roles = made(on("attribute", "Invoice.amount", update="top", drop="top"))
    assert roles.may([], action, Resource("attribute", "Invoice.amount", nature)).allowed is allowed


# ---- 8.5 evaluation, line by line


@pytest.mark.parametrize(
    ("row", "permissions", "granted", "question", "allowed"),
    [
        ("2 datastore to dataclasses", "datastore ds read=simple", "", "read dataclass A", False),
        ("2 datastore to dataclasses", "datastore ds read=simple", "simple", "read dataclass A", True),
        ("2 datastore to attributes", "datastore ds read=simple", "", "read attribute A.b", False),
        ("2 execute to functions", "datastore ds execute=simple", "", "execute method A.f", False),
        ("2 execute to ds' functions", "datastore ds execute=simple", "", "execute method ds.f", False),
        ("2 execute to procedures", "datastore ds execute=simple", "", "execute method f", False),
        ("2 execute to singletons", "datastore ds execute=simple", "", "execute singleton S", False),
        ("2 and to theirs", "datastore ds execute=simple", "", "execute singletonMethod S.f", False),
        ("2 dataclass to functions", "dataclass A execute=simple", "", "execute method A.f", False),
        ("2 and of no other", "dataclass A execute=simple", "", "execute method B.f", True),
        ("2 to packages below", "dataclass a execute=simple", "", "execute method a.b.f", False),
        ("2 the nearest of them", "dataclass a execute=simple; dataclass a.b execute=other",
         "other", "execute method a.b.f", True),
        ("2 a level of one action only", "dataclass A read=simple", "", "create dataclass A", True),
        ("3 dataclass overrides", "datastore ds read=none; dataclass A read=simple",
         "simple", "read dataclass A", True),
        ("3 and what ds asks is not enough", "datastore ds read=none; dataclass A read=simple",
         "none", "read dataclass A", False),
        ("3 function overrides", "datastore ds execute=none; method ds.login execute=guest",
         "", "execute method ds.login", True),
        ("3 function overrides dataclass", "dataclass A execute=none; method A.f execute=simple",
         "simple", "execute method A.f", True),
        ("4 attribute adds: both", "dataclass A read=simple; attribute A.b read=other",
         "simple other", "read attribute A.b", True),
        ("4 attribute adds: one", "dataclass A read=simple; attribute A.b read=other",
         "other", "read attribute A.b", False),
        ("4 attribute adds: the other", "dataclass A read=simple; attribute A.b read=other",
         "simple", "read attribute A.b", False),
        ("4 to the datastore as well", "datastore ds read=simple; attribute A.b read=other",
         "other", "read attribute A.b", False),
        ("4 its dataclass is not asked more", "attribute A.b read=other", "", "read dataclass A", True),
        ("5 one of several", "method A.f execute=other|simple", "simple", "execute method A.f", True),
        ("5 none of several", "method A.f execute=other|top", "simple", "execute method A.f", False),
        ("7 update needs read", "dataclass A update=simple read=other", "simple", "update dataclass A", False),
        ("7 update needs read", "dataclass A update=simple read=other", "simple other", "update dataclass A", True),
        ("7 drop needs read", "dataclass A drop=simple read=other", "simple", "drop dataclass A", False),
        ("7 create does not", "dataclass A create=simple read=other", "simple", "create dataclass A", True),
        ("7 of an attribute as well", "attribute A.b read=other", "", "update attribute A.b", False),
        ("8 an alias on its own rights", "attribute A.source read=none", "", "read attribute A.alias", True),
        ("10 functions by dataclass", "method A.f execute=simple", "", "execute method A.f", False),
        ("11 singleton covers", "singleton S execute=simple", "", "execute singletonMethod S.f", False),
        ("11 one function", "singletonMethod S.f execute=simple", "", "execute singletonMethod S.g", True),
        ("11 and overrides", "singleton S execute=none; singletonMethod S.f execute=simple",
         "simple", "execute singletonMethod S.f", True),
        ("11 a singleton is no dataclass", "singleton S execute=none", "", "execute method S.f", True),
        ("10.7 an empty list is not defined", "dataclass A read=", "", "read dataclass A", True),
        ("10.7 and overrides nothing", "datastore ds read=none; dataclass A read=", "", "read dataclass A", False),
        ("8.2 case of privileges", "method A.f execute=SIMPLE", "Simple", "execute method A.f", True),
        ("names of resources have case", "method A.f execute=simple", "", "execute method a.f", True),
        ("8.6 by inclusion", "method A.f execute=simple", "top", "execute method A.f", True),
        ("8.6 not upwards", "method A.f execute=top", "simple", "execute method A.f", False),
        ("8.6 by a role", "method A.f execute=simple", "chief", "execute method A.f", True),
    ],
)  # fmt: skip
def test_8_5(row: str, permissions: str, granted: str, question: str, allowed: bool) -> None:
    action, _, resource = question.partition(" ")
    assert asked(made(*map(told, permissions.split("; "))), granted, action, resource) is allowed, row


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("kind", ACTIONS)
def test_8_5_line_6_where_nothing_is_defined_restricted_by_default_decides(kind: str, restricted: bool) -> None:
    roles = made(restrictedByDefault=restricted)
    name = "ds" if kind == "datastore" else "Some.thing"
    for action in ACTIONS[kind]:
        verdict = roles.may(["top", "other"], cast("Action", action), Resource(cast("ResourceType", kind), name))
        assert verdict.allowed is not restricted
        assert f"`restrictedByDefault` is {str(restricted).lower()}" in verdict.why


def test_8_5_line_6_an_attribute_alone_does_not_open_its_dataclass() -> None:
    roles = made(on("attribute", "A.b", read="simple"), restrictedByDefault=True)
    assert not asked(roles, "simple", "read", "attribute A.b")


@pytest.mark.parametrize(
    ("action", "resource", "left_out"),
    [
        ("read", Resource("attribute", "A.b"), True),
        ("update", Resource("attribute", "A.b"), False),
        ("read", Resource("dataclass", "A"), False),
        ("execute", Resource("method", "A.f"), False),
    ],
)
def test_8_5_line_9_only_attributes_that_may_not_be_read_are_left_out(
    action: Any, resource: Any, left_out: bool
) -> None:
    verdict = Roles().may([], action, resource)
    assert (verdict.allowed, verdict.left_out) == (False, left_out)


# ---- 8.6 inclusion and roles; 2.7 what the privileges functions answer


def test_2_7_a_role_is_expanded_and_what_is_included_is_listed_first() -> None:
    roles = made()
    assert roles.listed(["Medium"]) == ("simple", "medium")
    assert roles.listed(["mEDIUM"]) == ("simple", "medium")
    assert roles.expand(["chief"]) == {"simple", "medium", "top", "other"}


def test_2_7_a_name_that_is_not_declared_is_ignored() -> None:
    assert made().expand(["simple", "unheard of", "WebAdmin", "guest"]) == {"simple"}


def test_one_name_may_be_given_as_a_text() -> None:
    assert made().expand("medium") == {"simple", "medium"}


def test_10_7_guest_may_be_declared_and_is_what_everybody_has() -> None:
    guest = {"privilege": "Guest", "includes": ["simple"]}
    roles = made(on("method", "A.f", execute="simple"), privileges=[*FILE["privileges"], guest])
    assert asked(roles, "", "execute", "method A.f")
    assert roles.holds([], "simple").why == "everybody has `Guest`, which includes `simple`"
    assert not roles.holds([], "medium")


def test_who_gives_a_privilege() -> None:
    roles = made()
    assert roles.givers("simple") == ("Medium", "Chief")
    assert roles.givers("OTHER") == ("Chief",)
    assert roles.givers("none") == ()


@pytest.mark.parametrize(
    ("granted", "privilege", "why"),
    [
        ("simple", "simple", "`simple` was granted"),
        ("top", "simple", "`top` gives `medium`, which includes `simple`"),
        ("chief", "simple", "`Chief` gives `top`, which includes `medium`, which includes `simple`"),
        ("other simple", "top", "`other`, `simple` do not give it; granted by: Chief"),
        ("simple", "none", "`simple` does not give it; no role grants it"),
        ("", "simple", "nothing that would give it was granted; granted by: Medium, Chief"),
        ("top", "tpo", "`tpo` is not declared, so nobody has it"),
        ("", "guest", "everybody has `guest`"),
    ],
)
def test_a_verdict_tells_why(granted: str, privilege: str, why: str) -> None:
    verdict = made().holds(granted.split(), privilege)
    assert verdict.why == why
    assert bool(verdict) == verdict.allowed == (privilege in {*made().expand(granted.split()), "guest"})


def test_the_why_of_an_access_names_the_level_that_decided() -> None:
    roles = made(on("datastore", "ds", execute=["other", "top"]), on("method", "A.f", execute="simple"))
    assert roles.may(["chief"], "execute", Resource("method", "A.f")).why == (
        "to execute method `A.f`, `simple` is asked for, and `Chief` gives `top`, which includes `medium`, "
        "which includes `simple`"
    )
    assert roles.may(["simple"], "execute", Resource("method", "B.f")).why == (
        "to execute method `B.f`, `other` or `top` is asked for by datastore `ds`, and `simple` does not give one; "
        "granted by: Chief"
    )


def test_a_type_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="There is no type 'table'"):
        Roles().may([], "read", Resource(cast("ResourceType", "table"), "A"))


def test_roles_are_a_value() -> None:
    roles = made(on("method", "A.f", execute="simple"))
    roles.expand(["chief"])
    assert pickle.loads(pickle.dumps(roles)) == roles == made(on("method", "A.f", execute="simple"))


# ---- what holds for every file

names = st.sampled_from([*"abcdef", "R0", "R1", "R2", "unheard of"])


@settings(max_examples=50, deadline=None)
@given(documents(), st.lists(names), st.lists(names))
def test_expansion_is_monotone_and_idempotent(document: dict[str, Any], some: list[str], more: list[str]) -> None:
    roles = read_roles(json.dumps(document).encode()).required()
    expanded = roles.expand(some)
    assert expanded <= roles.expand([*some, *more])
    assert roles.expand(expanded) == expanded
    assert roles.expand([*some, *more]) == expanded | roles.expand(more)
    assert roles.expand(name.swapcase() for name in some) == expanded
    assert sorted(roles.listed(some)) == sorted(expanded), "in its order, each once"


@settings(max_examples=50, deadline=None)
@given(documents(), st.lists(names))
def test_a_why_is_found_for_exactly_what_is_expanded(document: dict[str, Any], granted: list[str]) -> None:
    roles = read_roles(json.dumps(document).encode()).required()
    held = {name for name in roles.privileges if roles.holds(granted, name)}
    assert held == roles.expand(granted)


RESOURCES = [Resource("datastore", "ds"), Resource("dataclass", "A"), Resource("attribute", "A.x")]
RESOURCES += [Resource("method", "A.f"), Resource("singleton", "S"), Resource("singletonMethod", "S.f")]


@settings(max_examples=50, deadline=None)
@given(documents(), st.lists(names), st.lists(names), st.sampled_from(RESOURCES))
def test_more_privileges_never_close_anything(
    document: dict[str, Any], some: list[str], more: list[str], resource: Resource
) -> None:
    roles = read_roles(json.dumps(document).encode()).required()
    for action in ACTIONS[resource.type]:
        if roles.may(some, cast("Action", action), resource):
            assert roles.may([*some, *more], cast("Action", action), resource)


@settings(max_examples=50, deadline=None)
@given(documents(), st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
def test_a_circle_is_always_refused(document: dict[str, Any], circle: list[str]) -> None:
    includes = {one["privilege"]: one["includes"] for one in document["privileges"]}
    for name, following in zip(circle, [*circle[1:], circle[0]], strict=True):
        includes[name] = [*includes.get(name, []), following.upper()]
    privileges = [{"privilege": name, "includes": found} for name, found in includes.items()]
    reading = read_roles(json.dumps(document | {"privileges": privileges}).encode())
    assert reading.roles is None
    assert any("in a circle" in found.problem for found in reading.wrong)
