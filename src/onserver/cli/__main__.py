"""`python -m onserver.cli` is `onserver`, by the Python that is asked."""

from onserver.cli.command import main

main()
