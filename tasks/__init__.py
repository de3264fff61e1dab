"""The demo's procedures and hooks: hourly temperatures of two stations, shared by all workers."""
