"""Where the Redis of this measurement is."""

import os

PORT = int(os.environ.get("BENCH_PORT", "6379"))
URL = f"redis://127.0.0.1:{PORT}/0"
