import compileall
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver.redis.address import Address, unix_address
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.testing.proxy import Proxy
from tests.leftovers import nothing_is_left

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # This run was put into the background: the programs that tests start would inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


SOURCE = Path(__file__).parents[1] / "src"


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once for the hundreds of programs that tests start, also where Python writes no bytecode."""
    if not hasattr(config, "workerinput"):  # of xdist, which begin after this
        compileall.compile_dir(SOURCE, quiet=1)


@pytest.fixture(scope="session", autouse=True)
def leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with nothing_is_left(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A real Redis for the tests that only need one; whoever stops or kills one makes one of its own."""
    with Embedded(tmp_path_factory.mktemp("embedded"), appendfsync="everysec", linger_seconds=0) as embedded:
        embedded.start()
        yield embedded


@pytest.fixture
def redis_address(embedded: Embedded) -> Address:
    return unix_address(str(embedded.home.socket))


@pytest.fixture
def store(redis_address: Address) -> Iterator[Store]:
    """The keys of a server of a fresh name."""
    with Store(redis_address, f"t{uuid4().hex[:8]}", testing=True) as store:
        yield store


@pytest.fixture
def proxy(redis_address: Address, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(redis_address, tmp_path / "proxy.sock") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real browser; see tests/chromium.py."""
    with import_module("tests.chromium").browsing(tmp_path_factory.mktemp("runtime")) as browser:
        yield browser
