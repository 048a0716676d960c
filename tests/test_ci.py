"""What CI does before the tests, with the system's commands replaced by scripts that note how they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import pages, tiny

SCRIPT = tiny.ROOT / ".ci" / "browser"


class Machine:
    """A PATH of its own: what is not put there does not exist."""

    def __init__(self, folder: Path, uid: int) -> None:
        self.bin, self.calls = folder / "bin", folder / "calls"
        self.bin.mkdir()
        for name in ("bash", "env"):
            (self.bin / name).symlink_to(shutil.which(name))
        self.calls.touch()
        self.put("id", f"echo {uid}")

    def put(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.calls}\n{body}\n')
        path.chmod(0o755)

    def run(self) -> tuple[str, list[str]]:
        """What the script prints, and the commands it called; it must succeed whatever happens."""
        done = subprocess.run(
            [SCRIPT], env={"PATH": str(self.bin)}, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stderr == ""
        return done.stdout, [line for line in self.calls.read_text().splitlines() if not line.startswith("id ")]


@pytest.fixture
def root(tmp_path):
    return Machine(tmp_path, uid=0)


@pytest.fixture
def user(tmp_path):
    return Machine(tmp_path, uid=1000)


def installing(machine):
    """An apt-get that brings a browser."""
    made = machine.bin / "chromium"
    return f'if [ "$1" = install ]; then printf "#!/bin/bash\\n" > {made}; {shutil.which("chmod")} +x {made}; fi'


def test_a_browser_that_is_there_is_used(root):
    root.put("google-chrome", "")
    root.put("apt-get", "exit 1")
    assert root.run() == ("browser tests run in google-chrome\n", ["google-chrome --version"])


def test_root_installs_without_sudo(root):
    root.put("apt-get", installing(root))
    printed, calls = root.run()
    assert printed == "browser tests run in chromium, installed now\n"
    assert calls == ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium"]


def test_a_user_installs_by_sudo_that_needs_no_password(user):
    user.put("sudo", 'shift; "$@"')
    user.put("apt-get", installing(user))
    printed, calls = user.run()
    assert printed == "browser tests run in chromium, installed now\n"
    assert calls[:2] == ["sudo -n true", "sudo -n apt-get update -qq"]


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ({}, "no apt-get on this system"),
        ({"apt-get": "exit 100"}, "apt-get update failed"),
        ({"apt-get": '[ "$1" = update ]'}, "apt-get install chromium failed"),
        ({"apt-get": "", "chromium-browser": "echo get the snap; exit 1"}, "no command starts"),
    ],
    ids=["no apt", "no network", "no such package", "only a stub"],
)
def test_what_cannot_be_installed_is_said_and_fails_nothing(commands, reason, root):
    for name, body in commands.items():
        root.put(name, body)
    printed, _ = root.run()
    assert printed.startswith("browser tests will be skipped: no Chromium here")
    assert printed.endswith(f"({reason})\n")


def test_a_user_without_sudo_installs_nothing(user):
    user.put("apt-get", "")
    printed, calls = user.run()
    assert printed.endswith("(not root, and no sudo without a password)\n")
    assert calls == []


def test_the_tests_look_for_the_same_browsers():
    assert f"for name in {' '.join(pages.BROWSERS)}; do" in SCRIPT.read_text(encoding="utf-8")


def test_the_tests_take_no_stub_for_a_browser(root, monkeypatch):
    root.put("chromium", "exit 1")
    root.put("google-chrome", "")
    monkeypatch.setenv("PATH", str(root.bin))
    assert pages.browser.__wrapped__() == "google-chrome"
    (root.bin / "google-chrome").unlink()
    assert pages.browser.__wrapped__() is None


def test_ci_looks_for_a_browser_before_the_tests():
    lines = (SCRIPT.parent / "run").read_text(encoding="utf-8").splitlines()
    assert lines.index(".ci/browser") < lines.index("make test")
    assert os.access(SCRIPT, os.X_OK)
