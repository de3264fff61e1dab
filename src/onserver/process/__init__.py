"""Procedures and the processes that run them: asking, running, failing, waiting."""
