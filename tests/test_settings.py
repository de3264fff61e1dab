"""Settings: what wins over what, and what is refused with which words."""

from pathlib import Path

import pytest

from onserver.errors import BadSetting, BadSettingsFile, ConfigError, ProjectNotFound, UnknownSetting
from onserver.settings import SETTINGS, Settings, find_project, load


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "onserver.toml").touch()
    return folder


def written(project: Path, text: str) -> Path:
    (project / "config" / "onserver.toml").write_text(text, encoding="utf-8")
    return project


def test_an_empty_file_gives_the_defaults_and_the_folders_name(project: Path) -> None:
    settings = load(project, {})
    assert settings == Settings(name="shop", project=project.resolve(), sources={"name": "the project's folder"})
    assert (settings.redis, settings.process.deliveries, settings.member.lease_seconds) == ("embedded", 3, 10.0)


def test_dotted_keys_and_tables_mean_the_same(project: Path) -> None:
    dotted = load(written(project, "process.deliveries = 5\nstorage.keep = true\n"), {})
    tables = load(written(project, "[process]\ndeliveries = 5\n[storage]\nkeep = true\n"), {})
    assert (dotted.process.deliveries, dotted.storage.keep) == (5, True)
    assert (dotted.process, dotted.storage) == (tables.process, tables.storage)


def test_the_environment_wins_and_the_source_is_told(project: Path) -> None:
    written(project, '# ours\nname = "x"\nredis_connect_seconds = 2\n[process]\nkeep_seconds = 60\ndeliveries = 5\n')
    settings = load(
        project,
        {"ONSERVER_PROCESS_DELIVERIES": "7", "ONSERVER_STORAGE_KEEP": "true", "PATH": "/bin", "ONSERVER_TESTING": "1"},
    )
    assert settings.process.deliveries == 7
    assert settings.storage.keep is True
    assert settings.explain("process.deliveries").source == "ONSERVER_PROCESS_DELIVERIES"
    assert settings.explain("process.keep_seconds").source == "config/onserver.toml line 5"
    assert settings.explain("redis_connect_seconds").source == "config/onserver.toml line 3"
    assert settings.explain("worker.executors").source == "default"
    assert settings.explain("worker.executors").variable == "ONSERVER_WORKER_EXECUTORS"


def test_a_list_in_the_environment_is_separated_by_commas(project: Path) -> None:
    settings = load(project, {"ONSERVER_PROCESS_EXCEPTION_MODULES": "requests, httpx"})
    assert settings.process.exception_modules == ("requests", "httpx")


def test_a_secret_is_never_told(project: Path) -> None:
    settings = load(project, {"ONSERVER_SIGNING_KEY": "hush"})
    assert settings.signing.key == "hush"
    assert settings.explain("signing.key").value == "(set)"
    with pytest.raises(BadSetting, match=r"`signing.key` is '…' .* belongs in the environment \(ONSERVER_SIGNING_KEY"):
        load(written(project, 'signing.key = "hush"'), {})


def test_a_password_in_an_address_is_never_told(project: Path) -> None:
    text = 'backup.postgresql = ["postgresql://ann:hush@db/shop"]'
    variables = {"ONSERVER_REDIS": "rediss://ann:hush@h:1/0?ssl_ca_certs=ca.pem", "ONSERVER_SIGNING_KEY": "hush"}
    settings = load(written(project, text), variables)
    assert settings.redis == variables["ONSERVER_REDIS"]
    assert settings.explain("redis").value == "rediss://…@h:1/0?ssl_ca_certs=ca.pem"
    assert settings.explain("backup.postgresql").value == ("postgresql://…@db/shop",)
    told = repr(settings) + repr(settings.signing) + "".join(repr(settings.explain(key)) for key in SETTINGS)
    assert "hush" not in told
    assert "lease_seconds" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "process.delivries = 3",
            "Unknown setting `process.delivries` in `config/onserver.toml` line 1. Did you mean `deliveries`?",
        ),
        (
            "\n[proces]\ndeliveries = 3",
            "Unknown setting `proces.deliveries` in `config/onserver.toml` line 3. Did you mean `process.deliveries`?",
        ),
        ("nam = 'x'", "Unknown setting `nam` in `config/onserver.toml` line 1. Did you mean `name`?"),
        (
            "deliveries = 3",
            "Unknown setting `deliveries` in `config/onserver.toml` line 1. Did you mean `process.deliveries`?",
        ),
        ("qqq = 3", "Unknown setting `qqq` in `config/onserver.toml` line 1. All settings: `onserver config`."),
        ("project = '/'", "Unknown setting `project`"),
        (
            "process.deliveries = 0",
            "Setting `process.deliveries` is 0 in `config/onserver.toml` line 1, but it has to be `int` >= 1.",
        ),
        (
            "process.deliveries = '3'",
            "Setting `process.deliveries` is '3' in `config/onserver.toml` line 1, but it has to be `int`, and is `st",
        ),
        ("process.deliveries = true", "Setting `process.deliveries` is True"),
        ("process.deliveries = 3.5", "Setting `process.deliveries` is 3.5"),
        ("member.lease_seconds = nan", "Setting `member.lease_seconds` is nan"),
        ("member.lease_seconds = inf", "Setting `member.lease_seconds` is inf"),
        ("process = 3", "Setting `process` is 3 in `config/onserver.toml` line 1, but it is a table of settings."),
        ("name.x = 3", "Setting `name` is {'x': 3}"),
        ("name = 'a{b}'", "Setting `name` is 'a{b}'"),
        (
            "member.beat_seconds = 9",
            "Setting `member.beat_seconds` is 9.0 in `config/onserver.toml`, but it may be a third of",
        ),
        (
            "member.lease_seconds = 3",
            "Setting `member.beat_seconds` is 2.0 in `config/onserver.toml`, but it may be a third of",
        ),
        (
            "name 'x'",
            "`config/onserver.toml` is no TOML: Expected '=' after a key in a key/value pair (at line 1, column 6).",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named(project: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(project, text), {})
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "ONSERVER_PROCES_DELIVERIES",
            "3",
            "Unknown setting `ONSERVER_PROCES_DELIVERIES` in the environment. Did you mean ",
        ),
        ("ONSERVER_PROJEKT", "/x", "Unknown setting `ONSERVER_PROJEKT` in the environment. Did you mean "),
        ("ONSERVER_PROCESS_DELIVERIES", "many", "Setting `process.deliveries` is 'many' in the environment (ONS"),
        ("ONSERVER_STORAGE_KEEP", "perhaps", "Setting `storage.keep` is 'perhaps' in the environment (ONSERV"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(project: Path, variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(project, {variable: value})
    assert str(refused.value).startswith(told)


def test_the_errors_carry_facts(project: Path) -> None:
    with pytest.raises(UnknownSetting) as unknown:
        load(written(project, "process.delivries = 3"), {})
    assert (unknown.value.key, unknown.value.line, list(unknown.value.near)) == ("process.delivries", 1, ["deliveries"])
    with pytest.raises(BadSettingsFile) as broken:
        load(written(project, "="), {})
    assert broken.value.file == "config/onserver.toml"
    with pytest.raises(UnknownSetting):
        load(written(project, ""), {}).explain("process.delivries")


def test_a_folder_whose_name_is_no_name_needs_one_in_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    (folder / "config").mkdir(parents=True)
    written(folder, "")
    with pytest.raises(BadSetting, match="Setting `name` is 'my shop' in the project's folder"):
        load(folder, {})
    assert load(written(folder, 'name = "shop"'), {}).name == "shop"


def test_settings_are_frozen(project: Path) -> None:
    with pytest.raises(AttributeError):
        load(project, {}).redis = "x"  # type: ignore[misc]


def test_the_project_is_the_nearest_folder_upwards(project: Path) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below, environ={}) == project.resolve()


def test_what_was_named_wins_over_what_is_near(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "config").mkdir(parents=True)
    written(other, "")
    assert find_project(project, environ={"ONSERVER_PROJECT": str(other)}) == other.resolve()
    assert find_project(other, project, environ={"ONSERVER_PROJECT": str(other)}) == project.resolve()


def test_a_project_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFound, match="in this folder or above it"):
        find_project(tmp_path, environ={})
    with pytest.raises(ProjectNotFound, match="in `nowhere`"):
        find_project(tmp_path, "nowhere", environ={})


def test_settings_are_few_and_each_says_its_unit_and_meaning() -> None:
    sections = ("backup.", "events.", "web.", "remote.", "admin.")
    assert len([key for key in SETTINGS if not key.startswith(sections)]) < 40
    assert len([key for key in SETTINGS if key.startswith("admin.")]) <= 8  # four are about logging in elsewhere
    assert len([key for key in SETTINGS if key.startswith("remote.")]) <= 9
    assert len([key for key in SETTINGS if key.startswith("web.")]) <= 18  # a cookie has seven attributes
    assert len([key for key in SETTINGS if key.startswith("backup.")]) <= 20  # five pages of the specification
    for setting in SETTINGS.values():
        assert setting.meaning
        if isinstance(setting.default, float):
            assert setting.key.endswith("_seconds")
