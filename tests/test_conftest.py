from types import SimpleNamespace

from tests.conftest import pytest_terminal_summary


def test_skipped_tests_are_counted_by_reason():
    lines = []
    reasons = ["no browser", "no GPU", "no browser"]
    reports = [SimpleNamespace(longrepr=("tests/x.py", n, f"Skipped: {reason}")) for n, reason in enumerate(reasons)]
    pytest_terminal_summary(SimpleNamespace(stats={"skipped": reports, "passed": [1]}, write_line=lines.append))
    assert lines == ["2 tests skipped: no browser", "1 test skipped: no GPU"]
