"""Floor 1: the connection to Redis, the embedded server, the catalogue of keys, and the scripts."""
