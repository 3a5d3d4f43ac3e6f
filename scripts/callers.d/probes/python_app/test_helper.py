import helper
import pytest


def test_double():
    assert helper.double(2) == 4


def test_wrong():
    numbers = [helper.double(n) for n in range(3)]
    assert numbers == [0, 2, 5]


def test_raises():
    with pytest.raises(ValueError, match="nothing"):
        helper.double(None)
