"""REST over classes of data: reading, sets of entities, changes, and what `roles.json` lets of it (2.11, 8.4, 8.5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.music import declare_music
from tests.test_rest import CLOSED, OPEN, problem, shop_of
from tests.web_project import browser


def shop(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path, roles: str
) -> Iterator[OnServer]:
    for opened in shop_of(request, monkeypatch, folder, roles):
        music = declare_music(folder / "music.sqlite")
        yield opened
        music.close()


@pytest.fixture
def music(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A shop where everybody may everything."""
    yield from shop(request, monkeypatch, tmp_path, OPEN)


async def names(guest: httpx.AsyncClient, query: str, of: str = "Album") -> list[str]:
    answer = await guest.get(f"/rest/{of}?{query}")
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["__ENTITIES"]]


# ---- reading


async def test_a_class_is_told_page_by_page(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        page = (await guest.get("/rest/Album?$skip=1&$top=2&$orderby=name desc")).json()
        first, second = page.pop("__ENTITIES")
        assert page == {"__entityModel": "Album", "__COUNT": 4, "__SENT": 2, "__FIRST": 1}
        assert (first["name"], second["name"]) == ("Gamma", "Beta")
        assert first == {
            "__KEY": "3", "__STAMP": 1, "id": 3, "name": "Gamma", "released": None, "price": None, "cost": "1.00",
            "live": True, "artist_id": 2, "label": "3: Gamma", "changes": 1,
            "artist": {"__deferred": {"uri": "/rest/Artist(2)", "__KEY": "2"}},
        }  # fmt: skip
        one = (await guest.get("/rest/Album(3)")).json()
        assert one == {"__entityModel": "Album", **first}
        assert dict(guest.cookies) == {}  # whoever only looks leaves nothing behind


async def test_what_belongs_to_an_entity_is_a_link_or_expanded(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        ann = (await guest.get("/rest/Artist(1)")).json()
        link = ann["albums"]["__deferred"]["uri"]
        assert (link, ann["title"]) == ("/rest/Artist(1)/albums?$expand=albums", "Ann")
        expanded = (await guest.get(link)).json()
        assert [one["name"] for one in expanded["albums"]["__ENTITIES"]] == ["Alpha", "Beta"]
        assert (expanded["albums"]["__COUNT"], set(expanded)) == (2, {"__entityModel", "__KEY", "albums"})
        chosen = (await guest.get("/rest/Album(1)/name,price?$attributes=artist.name")).json()
        assert chosen == {
            "__entityModel": "Album", "__KEY": "1", "__STAMP": 1, "name": "Alpha", "price": "9.90",
            "artist": {"__KEY": "1", "name": "Ann"},
        }  # fmt: skip
        whole = (await guest.get("/rest/Album(1)?$attributes=artist.*")).json()["artist"]
        assert whole["country"] == "NO"
        assert (await guest.get("/rest/Album(1)?$attributes=nothing")).status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('$filter="name=Alpha"', ["Alpha"]),
        ("$filter=id > 1 AND id<=3", ["Beta", "Gamma"]),
        ("$filter=name begin al", ["Alpha", "alp"]),
        ("$filter=name = 'al@'", ["Alpha", "alp"]),
        ("$filter=name != 'al@'", ["Beta", "Gamma"]),
        ("$filter=price > 9.5", ["Alpha", "Beta"]),
        ("$filter=price = null", ["Gamma"]),
        ("$filter=price != 5", ["Alpha", "Beta", "Gamma"]),
        ("$filter=NOT price > 9.5", ["Gamma", "alp"]),
        ("$filter=id>0 EXCEPT price>9.5", ["Gamma", "alp"]),
        ("$filter=released >= 2005-01-01", ["Beta"]),
        ("$filter=live = true", ["Gamma"]),
        ("$filter=live > false", ["Gamma"]),
        ("$filter=artist.name = Ann", ["Alpha", "Beta"]),
        ("$filter=artist.albums.name = Beta", ["Alpha", "Beta"]),
        ("$filter=name in :1&$params=[[\"Beta\",\"alp\",\"none\"]]", ["Beta", "alp"]),
        ("$filter=name = :1&$params=[\"x' OR 1=1 --\"]", []),
        ("$filter=(id=1 OR id=4) AND name!=alp", ["Alpha"]),
        ("$orderby=artist.name desc, name", ["Gamma", "Alpha", "Beta", "alp"]),
        ("$top=0", []),
    ],
)  # fmt: skip
async def test_a_filter_finds_what_it_says(music: OnServer, query: str, found: list[str]) -> None:
    async with browser(Gateway(music.server)) as guest:
        assert await names(guest, query) == found


async def test_letters_that_mean_something_to_the_database_are_letters(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        for asked in ("name = '@%25_@'", "name begin 100%25", "name = '100%25_c@'", "title = '100%25@'"):
            assert await names(guest, f"$filter={asked}", "Artist") == ["100%_Cy"], asked
        assert await names(guest, "$filter=name = '_nn@'", "Artist") == []


async def test_a_key_of_two_and_a_structure(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        place = (await guest.get("/rest/Place(A,1)")).json()
        assert (place["__KEY"], place["facts"]) == ("A,1", {"of": "oak"})
        kept = (await guest.get("/rest/Place?$method=entityset&$orderby=number desc")).json()
        again = (await guest.get(kept["__ENTITYSET"])).json()
        assert [one["__KEY"] for one in again["__ENTITIES"]] == ["A,2", "A,1"]
        for path in ("Place(A)", "Place(A,x)", "Place(A,9)", "Album(x)", "Album(99999999999999999999)", "Album(null)"):
            assert (await guest.get(f"/rest/{path}")).status_code == 404, path


@pytest.mark.parametrize(
    "query",
    ["$filter=nothing=1", "$filter=id=one", "$filter=released=soon", "$filter=label=x", "$filter=artist=1",
     "$filter=name.x=1", "$filter=price begin 1", "$filter=price > null", "$filter=live=perhaps",
     "$orderby=albums.name", "$orderby=label", "$fliter=id=1", "$filter=__mapper__=1", "$filter=metadata=1",
     "$attributes=__init__", "$method=delete", "$method=update", "$filter=id in :1&$params=[[\"x\"]]",
     "$filter=name=:1&$params=[{\"a\": 1}]", "$filter=name in :1&$params=[[[1]]]", "$filter=id=1e999",
     "$filter=id=99999999999999999999", "$filter=name begin \"a%00b\"", "$filter=name=\"@a%00b\""],
)  # fmt: skip
async def test_what_there_is_not_is_refused_and_does_nothing(music: OnServer, query: str) -> None:
    async with browser(Gateway(music.server)) as guest:
        answer = await guest.get(f"/rest/Album?{query}")
        assert answer.status_code in {400, 405}, answer.text
        assert problem(answer)["message"]
        assert len(await names(guest, "")) == 4


async def test_the_catalogue_tells_of_classes(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        told = (await guest.get("/rest/$catalog")).json()["dataClasses"]
        assert [one["name"] for one in told] == ["Artist", "Album", "Place"]
        album = (await guest.get(told[1]["uri"])).json()
        kinds = {one["name"]: (one["kind"], one["type"]) for one in album["attributes"]}
        assert kinds["artist"] == ("relatedEntity", "Artist")
        assert (kinds["price"], kinds["label"][0]) == (("storage", "number"), "calculated")
        assert album["key"] == [{"name": "id"}]
        assert (await guest.get("/rest/$catalog/Base")).status_code == 404


async def test_the_description_has_classes_and_none_of_their_attributes(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        told = (await guest.get("/openapi.json")).json()
    paths = {path for path in told["paths"] if "Album" in path}
    assert paths == {
        "/rest/$catalog/Album", "/rest/Album", "/rest/Album({key})", "/rest/Album/$entityset/{set}",
    }  # fmt: skip
    assert "released" not in json.dumps(told)


# ---- sets of entities


async def test_a_set_keeps_its_entities_and_is_of_its_session(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as ann, browser(Gateway(music.server)) as bob:
        made = (await ann.get("/rest/Album?$filter=id<4&$orderby=name desc&$method=entityset&$top=1")).json()
        uri = made["__ENTITYSET"]
        assert (made["__COUNT"], made["__SENT"]) == (3, 1)
        await ann.post("/rest/Album?$method=update", json={"__KEY": "2", "name": "Zeta"})
        again = (await ann.get(uri)).json()
        assert [one["name"] for one in again["__ENTITIES"]] == ["Gamma", "Zeta", "Alpha"]  # as it was made
        assert await names(ann, "$filter=artist.name=Ann", uri.removeprefix("/rest/")) == ["Zeta", "Alpha"]
        assert await names(ann, "$orderby=name&$skip=1", uri.removeprefix("/rest/")) == ["Gamma", "Zeta"]
        assert (await bob.get(uri)).status_code == 404
        assert (await ann.get(uri.replace("Album", "Artist"))).status_code == 404
        [told] = (await ann.get("/rest/$info")).json()["entitySet"]
        assert (told["tableName"], told["selectionSize"], told["sorted"]) == ("Album", 3, True)
        assert (await bob.get("/rest/$info")).json()["entitySet"] == []
        assert (await bob.post(f"{uri}?$method=release")).status_code == 404
        assert (await ann.post(f"{uri}?$method=release")).json() == {"ok": True}
        assert (await ann.get(uri)).status_code == 404


async def test_a_session_has_no_more_sets_than_its_quota_lets_it(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as ann:
        await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        [cookie] = dict(ann.cookies).values()
        music.server.sessions.records.write(cookie, quotas={"nbEntitySets": 2, "maxEntitySetTimeout": 600})
        asked = "/rest/Album?$method=entityset&$timeout=9000"
        first = (await ann.get(asked)).json()["__ENTITYSET"]
        assert (await ann.get(asked)).status_code == 200
        refused = await ann.get(asked)
        assert (refused.status_code, "2 entity sets" in problem(refused)["message"]) == (429, True)
        assert (await ann.get("/rest/Album")).status_code == 200  # needs none
        mine = music.server.sessions.find(cookie)
        assert mine is not None
        assert {one.timeout for one in mine.entity_sets().listed()} == {600}
        assert mine.quotas.current_values.nb_entity_sets == 2
        await ann.post(f"{first}?$method=release")
        assert (await ann.get(asked)).status_code == 200


# ---- changes


async def test_entities_are_made_changed_and_dropped(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        update = "/rest/Album?$method=update"
        made = (await guest.post(update, json={"name": "New", "price": 7, "artist": {"__KEY": "2"}})).json()
        assert (made["name"], made["price"], made["artist_id"], made["uri"]) == ("New", "7.00", 2, "/rest/Album(5)")
        body = [{"__KEY": made["__KEY"], "__STAMP": made["__STAMP"], "name": "Newer"}, {"name": "Other"}]
        newer, _ = (await guest.post(update, json=body)).json()
        assert (newer["name"], newer["price"], newer["__STAMP"]) == ("Newer", "7.00", made["__STAMP"] + 1)
        stale = await guest.post(update, json=body[:1])
        assert (stale.status_code, "stamp" in problem(stale)["message"]) == (409, True)
        back = await guest.post(update, json={**newer, "artist": None, "label": "x"})
        assert back.status_code == 400  # worked out, and not to be set
        assert (await guest.post("/rest/Album(5)?$method=delete")).json() == {"ok": True}
        assert (await guest.get("/rest/Album(5)")).status_code == 404
        assert (await guest.post("/rest/Album?$filter=name=Other&$method=delete")).json() == {"ok": True}
        assert await names(guest, "") == ["Alpha", "Beta", "Gamma", "alp"]


async def test_all_of_one_request_is_done_or_nothing(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        update = "/rest/Album?$method=update"
        wishes: list[tuple[Any, int]] = [
            ({"name": "Beta"}, 409), ({"price": 3}, 409), ({"__KEY": "99", "name": "x"}, 404), ({"id": "y"}, 400),
            ({"__KEY": "1", "id": 9}, 400), ({"name": "x", "albums": 1}, 400), ({"artist": {"__KEY": 9}}, 400),
            ({"name": "x", "artist_id": 9}, 409), ("x", 400), ({"name": {"a": 1}}, 400), ({"__class__": 1}, 400),
        ]  # fmt: skip
        for wrong, status in wishes:
            answer = await guest.post(update, json=[{"name": "Fine"}, wrong])
            assert (answer.status_code, wrong) == (status, wrong), answer.text
            assert "SQL" not in answer.text
        for body in (b"", b"[", b"\xff", b"1"):
            assert (await guest.post(update, content=body)).status_code == 400
        assert (await guest.post("/rest/Artist(1)?$method=delete")).status_code == 200  # its albums are nobody's now
        assert await names(guest, "$filter=artist_id=null") == ["Alpha", "Beta", "alp"]


async def test_a_set_is_dropped_and_nothing_without_a_word_which(music: OnServer) -> None:
    async with browser(Gateway(music.server)) as guest:
        uri = (await guest.get("/rest/Album?$filter=id<3&$method=entityset")).json()["__ENTITYSET"]
        assert (await guest.post("/rest/Album?$method=delete")).status_code == 400
        assert (await guest.get(f"{uri}?$method=delete")).status_code == 405
        assert (await guest.post(f"{uri}?$method=delete")).json() == {"ok": True}
        assert await names(guest, "") == ["Gamma", "alp"]
        emptied = (await guest.get(uri)).json()
        assert (emptied["__COUNT"], emptied["__SENT"]) == (2, 0)


# ---- permissions


def allowed(*permissions: dict[str, Any], default: bool = False) -> str:
    everybody = {"applyTo": "shop.authentify", "type": "method", "execute": ["guest"]}
    return json.dumps(
        json.loads(OPEN)
        | {"permissions": {"allowed": [everybody, *permissions]}, "restrictedByDefault": default, "forceLogin": False}
    )


async def test_an_attribute_that_may_not_be_read_is_left_out_and_not_to_be_guessed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cost = {"applyTo": "Album.cost", "type": "attribute", "read": ["CreateInvoices"]}
    for opened in shop(request, monkeypatch, tmp_path, allowed(cost)):
        async with browser(Gateway(opened.server)) as ann:
            one = (await ann.get("/rest/Album(1)")).json()
            assert "cost" not in one
            assert "cost" not in (await ann.get("/rest/Album(1)/name,cost")).json()
            expanded = (await ann.get("/rest/Artist(1)?$expand=albums")).json()["albums"]["__ENTITIES"]
            assert all("cost" not in album for album in expanded)
            described = (await ann.get("/rest/$catalog/Album")).json()["attributes"]
            assert "cost" not in {one["name"] for one in described}
            for query in ("$filter=cost>1", "$orderby=cost", "$filter=name=x OR NOT cost=1"):
                assert (await ann.get(f"/rest/Album?{query}")).status_code == 403, query
            assert (await ann.get("/rest/Artist?$filter=albums.cost>2")).status_code == 403
            update = "/rest/Album?$method=update"
            assert (await ann.post(update, json={"__KEY": "1", "cost": 1})).status_code == 403  # takes read as well
            assert (await ann.post(update, json={"__KEY": "1", "price": 1})).status_code == 200
            await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
            assert (await ann.get("/rest/Album(1)")).json()["cost"] == "2.00"
            assert await names(ann, "$filter=cost>2") == ["Beta"]


async def test_a_class_that_may_not_be_read_changed_or_dropped_is_refused(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clerk = {action: ["CreateInvoices"] for action in ("create", "update", "drop")}
    album = {"applyTo": "Album", "type": "dataclass", "read": ["guest"], **clerk}
    for opened in shop(request, monkeypatch, tmp_path, allowed(album, default=True)):
        async with browser(Gateway(opened.server)) as ann:
            assert (await ann.get("/rest/Artist")).status_code == 403
            assert (await ann.get("/rest/Artist(1)")).status_code == 403
            assert (await ann.get("/rest/Artist?$method=entityset")).status_code == 403
            assert await names(ann, "$top=1") == ["Alpha"]
            assert (await ann.get("/rest/Album(1)?$expand=artist")).status_code == 403
            update = "/rest/Album?$method=update"
            refused = [update, "/rest/Album(1)?$method=delete", "/rest/Album?$filter=id>0&$method=delete"]
            for path in refused:
                answer = await ann.post(path, json={"name": "New"})
                assert (answer.status_code, problem(answer)["errCode"]) == (403, 4103), path
            assert (await ann.post(update, json={"__KEY": "1", "name": "New"})).status_code == 403
            assert len(await names(ann, "")) == 4
            await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
            assert (await ann.post(update, json={"name": "New"})).status_code == 200
            assert (await ann.post("/rest/Album(1)?$method=delete")).status_code == 200


async def test_where_everybody_has_to_log_in_no_data_is_told(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for opened in shop(request, monkeypatch, tmp_path, CLOSED):
        async with browser(Gateway(opened.server)) as guest:
            for path in ("Album", "Album(1)", "Album?$method=entityset", "$catalog/Album", "Nothing"):
                assert (await guest.get(f"/rest/{path}")).status_code == 401, path
            assert (await guest.post("/rest/Album(1)?$method=delete")).status_code == 401
