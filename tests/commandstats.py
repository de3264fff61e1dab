"""What Redis has run, by its own count."""

import re
from collections import Counter

from onserver.redis.store import Store


def commands(store: Store) -> Counter[str]:
    """How often each command was run in this Redis, within scripts too."""
    lines = store.command("INFO", "commandstats").decode().splitlines()
    found = (re.match(r"cmdstat_(\S+):calls=(\d+)", line) for line in lines)
    return Counter({match[1]: int(match[2]) for match in found if match and match[1] not in {"info", "ping"}})
