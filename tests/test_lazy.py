"""The lazy loader brings a thing when it is asked for, and says which extra brings what is missing."""

from pathlib import Path

import pytest

from onserver.errors import MissingExtra
from onserver.lazy import load, module_getattr


def test_a_module_or_an_attribute_is_loaded() -> None:
    assert load("pathlib:Path") is Path
    assert load("pathlib").Path is Path


def test_a_missing_optional_module_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"`no_such_thing` is not installed. `pip install 'onserver\[demo\]'`"):
        load("no_such_thing.part:name", "demo")


def test_a_module_that_fails_by_itself_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.py").write_text("import not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there") as failed:
        load("there", "demo")
    assert not isinstance(failed.value, MissingExtra)


def test_a_module_offers_its_names_and_no_others() -> None:
    answer = module_getattr("shop", {"Path": "pathlib:Path"})
    assert answer("Path") is Path
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'Pth'"):
        answer("Pth")
