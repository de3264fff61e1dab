"""What `onserver` offers: loaded when asked for, and not hidden by packages of the same name."""

import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import onserver


def fresh(program: str) -> str:
    """Run a program in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", sorted(set(onserver.__all__) - {"errors"}))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(onserver, name)
    assert not isinstance(thing, ModuleType)
    assert thing.__doc__
    assert name in dir(onserver)


def test_packages_inside_do_not_hide_the_functions_of_their_names() -> None:
    import_module("onserver.session.context")
    import_module("onserver.process.number")
    from onserver import process, session  # noqa: PLC0415  # after the packages, on purpose

    assert callable(session)
    assert callable(process)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sesion'"):
        onserver.sesion  # noqa: B018


def test_the_front_alone_loads_next_to_nothing() -> None:
    loaded = fresh("import sys, onserver; print(*[n for n in sys.modules if n.startswith('onserver')])")
    groups = {".".join(name.split(".")[:2]) for name in loaded.split()}
    assert groups == {"onserver", "onserver.lazy", "onserver.errors"}


def test_a_program_that_only_enqueues_never_loads_celery() -> None:
    program = (
        "import sys\n"
        "from onserver import Server, execute_many, execute_on_server, procedure, session\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('celery', 'kombu', 'click', 'rich')])"
    )
    assert fresh(program) == "[]"
