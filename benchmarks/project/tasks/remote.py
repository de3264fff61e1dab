"""What remote clients call in the benchmarks."""

from onserver import server_method


@server_method
def echo(number: int) -> int:
    """Answer what was given."""
    return number
