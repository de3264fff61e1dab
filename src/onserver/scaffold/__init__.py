"""A new project: the folder that `onserver new NAME` writes."""

from onserver.scaffold.project import FILES, write_project

__all__ = ["FILES", "write_project"]
