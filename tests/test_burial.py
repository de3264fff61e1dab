"""The end of a member that held much: its burial is done in pieces, and whoever does them may die as well."""

from collections import Counter
from uuid import uuid4

import pytest

from onserver import execute_many, procedure
from onserver.cluster.member import Member
from onserver.cluster.sweep import sweep
from onserver.errors import MemberFenced
from onserver.life.code import Code
from onserver.life.epoch import open_epoch, run_epoch
from onserver.redis.address import Address
from tests.inline_worker import make_server


@procedure(batch=True)
def small(n: int) -> int:
    return n


def test_a_burial_that_stopped_half_way_is_finished_by_the_next_sweep(redis_address: Address) -> None:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as server:
        store, code = server.store, Code.of(server)
        dying, heir = (Member.join(store, server.settings, "worker", node) for node in ("dying", "heir"))
        for member in (dying, heir):
            member.register(code.digest, code.described)
        run_epoch(store, open_epoch(heir, keep_storage=False).epoch.number)
        holder = dying.enlist(code.digest, ["default"])
        processes = execute_many(small, range(250))
        claimed = store.run("step", holder, 250, 0, 60, 60, 3, code.digest, 1, "default")[3:]
        assert len(claimed) == 250

        declared, left = store.run("bury_member", dying.number, 3, 60, "its program has ended", "")
        assert declared == 1
        assert left > 0
        with pytest.raises(MemberFenced):
            store.run("step", holder, 0, 0, 60, 60, 3, code.digest, 1, "default")
        assert {str(process.state) for process in processes} == {"queued", "running"}

        assert sweep(heir) == []  # that it is dead was said before
        assert Counter(str(process.state) for process in processes) == {"queued": 250}
        assert Counter(process.record().deliveries for process in processes) == {0: 249, 1: 1}
        assert not store.command("EXISTS", store.key(f"held:{holder}"), store.key(f"h:{holder}"), store.key("burying"))
