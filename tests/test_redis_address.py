import pytest

from onserver.errors import BadSetting
from onserver.redis.address import parse


@pytest.mark.parametrize(
    ("url", "described"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("redis://ann:secret@cache.example:6390/2", "redis://cache.example:6390/2"),
        ("rediss://[::1]:6390?ssl_cert_reqs=none", "rediss://[::1]:6390/0"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        ("redis+sentinel://:pw@a:1,b:2/main/1?sentinel_password=x", "redis+sentinel://a:1,b:2/main/1"),
        ("redis+cluster://a:1,b", "redis+cluster://a:1,b:6379"),
    ],
)
def test_an_address_is_described_without_its_secrets(url: str, described: str) -> None:
    assert parse(url).describe() == described


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:s%40cret@cache.example:6390/2",
        "rediss://localhost:6390/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=3",
        "redis+sentinel://:pw@a:1,b:2/main/1?sentinel_password=x",
        "redis+cluster://a:1,b:2",
    ],
)
def test_an_address_can_be_handed_on_whole(url: str) -> None:
    assert parse(parse(url).url()) == parse(url)


@pytest.mark.parametrize(
    ("url", "celery"),
    [
        ("redis://:pw@h:1/2", "redis://:pw@h:1/2"),
        ("unix:///run/r.sock?db=3", "redis+socket:///run/r.sock?virtual_host=3"),
        ("redis+sentinel://a:1,b:2/main", "sentinel://a:1/0;sentinel://b:2/0"),
    ],
)
def test_celery_gets_its_own_spelling(url: str, celery: str) -> None:
    assert parse(url).celery_url() == celery


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("embeded", "redis+cluster://"),
        ("http://localhost", "unix://"),
        ("redis://h:port", "'port'"),
        ("redis://h/x", "number"),
        ("redis://h?dbb=1", "'dbb'"),
        ("redis://a,b", "redis+sentinel"),
        ("redis+sentinel://a:1", "SERVICE"),
        ("redis+cluster://a:1?db=1", "database 0"),
        ("unix://", "unix://"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be(url: str, word: str) -> None:
    with pytest.raises(BadSetting) as refused:
        parse(url)
    assert word in str(refused.value)


def test_a_refused_address_does_not_show_its_password() -> None:
    with pytest.raises(BadSetting) as refused:
        parse("redis://ann:secret@host:port/0")
    assert "secret" not in str(refused.value)


def test_repr_shows_no_password() -> None:
    assert "secret" not in repr(parse("redis://ann:secret@h/0"))
