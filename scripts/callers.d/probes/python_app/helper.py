"""One function.

>>> double(2)
4
"""


def double(n):
    """Twice as much; of nothing, an error."""
    assert n is None or n >= 0, "negative"
    if n is None:
        raise ValueError("nothing to double")
    return n * 2


def never(n):
    return n
