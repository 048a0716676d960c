from collections.abc import Iterator

import pytest

from tests.loopback import Loopback, serving


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as running:
        yield running
