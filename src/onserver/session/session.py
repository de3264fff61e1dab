"""The session of the virtual user that all procedures and hooks share."""


class Session:
    """Placeholder until the next commit."""
