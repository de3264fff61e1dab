"""What of an address is shown: who logs in there is told to nobody."""

from typing import Any

import pytest

from onserver.discreet import discreet


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("redis://:pw@h:1/0", "redis://…@h:1/0"),
        ("unix:///a/b.sock?password=pw", "unix:///a/b.sock?password=…"),
        ("rediss://h/0?ssl_ca_certs=a.pem&sentinel_password=pw", "rediss://h/0?ssl_ca_certs=a.pem&sentinel_password=…"),
        ('["postgresql://u:p%40w@h/x?sslmode=require", "b"]', '["postgresql://…@h/x?sslmode=require", "b"]'),
        (["amqp://u:p/w@h/x", {"at": ("redis://u:p@w@h",)}], ["amqp://…@h/x", {"at": ("redis://…@h",)}]),
        ("az://box/x?account_key=k&ssl_keyfile=a.pem", "az://box/x?account_key=…&ssl_keyfile=a.pem"),
        ("no address", "no address"),
        ("a@b", "a@b"),
        (7, 7),
    ],
)
def test_a_login_is_left_out_and_all_else_stays(text: Any, left: Any) -> None:
    assert discreet(text) == left
