"""What every refusal of an answer has in common."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException


def refused(check: Callable[[], Any], *words: str) -> str:
    """Return the message of a refusal: one line in three parts that holds the words."""
    with pytest.raises(FailedHookException) as caught:
        check()
    message = str(caught.value)
    assert message.isprintable(), message
    assert re.fullmatch(r"[a-z_]+: .+; expected .+; .+", message), message
    for word in words:
        assert word in message
    return message
