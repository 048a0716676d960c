"""Errors in one line, exit codes, and commands that can be pasted into a shell."""

import argparse
import errno
import shlex
from collections import namedtuple

import pytest

from tasks import load_run
from tests import tiny
from utils.cli_utils import (
    ArtefactError,
    ConfigError,
    UserError,
    check_free_disk,
    command,
    command_for,
    disk_error_reason,
    existing_folder,
    remember_conf,
)


@pytest.fixture(autouse=True)
def _forget_conf():
    yield
    remember_conf([])


def test_command_for_without_and_with_settings():
    remember_conf([])
    assert command_for("main.py") == "python main.py"
    assert command_for("preprocessing.audio_logmel", "--workers", "2") == (
        "python -m preprocessing.audio_logmel --workers 2"
    )
    remember_conf(["--conf", "my conf.yaml", "--set", "data.root=/it's here"])
    assert command_for("preprocessing.clotho_dataset", "--strict") == (
        "python -m preprocessing.clotho_dataset --conf 'my conf.yaml' --set 'data.root=/it'\"'\"'s here' --strict"
    )


def test_a_scripts_own_conf_and_settings_are_repeated(tmp_path):
    (tmp_path / "a b").mkdir()
    conf = str(tiny.write_conf(tmp_path / "a b"))
    settings = ["training.seed=3", 'experiment="x y"', "search={optimizer.lr: {grid: [1.0e-3, 2.0e-3]}}"]
    argv = ["--conf", conf, *(part for setting in settings for part in ("--set", setting))]
    run, args = load_run([*argv, "--verbose"], parser_with("--verbose"))
    assert (run.training.seed, run.experiment, args.verbose) == (3, "x y", True)
    repeated = command_for("main.py", "--resume")
    assert shlex.split(repeated) == ["python", "main.py", *argv, "--resume"]
    again, _ = load_run(shlex.split(repeated)[2:], parser_with("--resume"))
    assert again == run


def parser_with(flag):
    parser = argparse.ArgumentParser()
    parser.add_argument(flag, action="store_true")
    return parser


def outcome(capsys, action):
    """Exit code and what is printed of a command whose body is `action`."""

    @command
    def main(argv=None):
        """A script."""
        return action()

    assert main.__doc__ == "A script."
    try:
        main([])
        code = 0
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.err


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("result", [None, 0, 1, 2, 130])
def test_the_returned_code_is_the_exit_code(capsys, result):
    assert outcome(capsys, lambda: result) == (result or 0, "")


@pytest.mark.parametrize("kind", [UserError, ConfigError, ArtefactError])
def test_bad_input_is_one_line_and_exit_code_2(capsys, kind):
    assert outcome(capsys, raising(kind("x.pkl: no such file"))) == (2, "error: x.pkl: no such file\n")


def test_ctrl_c_says_how_to_go_on(capsys):
    code, printed = outcome(capsys, raising(KeyboardInterrupt()))
    assert code == 130
    assert printed == "interrupted; the same command goes on from here\n"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EACCES, "no permission; make it readable and writable, or name another folder"),
        (errno.EPERM, "no permission"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EFBIG, "the file is too large for this disk"),
        (errno.EEXIST, "a file stands where a folder is needed"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
        (errno.EISDIR, "a folder stands where a file is needed"),
    ],
)
def test_trouble_with_the_disk_names_file_and_repair(capsys, monkeypatch, number, reason):
    monkeypatch.setattr("sys.orig_argv", ["/usr/bin/python3", "-m", "preprocessing.x", "--conf", "a b.yaml"])
    code, printed = outcome(capsys, raising(OSError(number, "as the system says", "/data/x.hdf5")))
    assert code == 2
    assert printed.startswith(f"error: /data/x.hdf5: {reason}")
    assert printed.endswith(", then run again: python -m preprocessing.x --conf 'a b.yaml'\n")
    assert printed.count("\n") == 1


def test_an_error_number_that_h5py_hides_is_found(capsys):
    hidden = OSError("Can't synchronously write data (file write failed: errno = 28, error message = 'No space left')")
    assert hidden.errno is None
    assert disk_error_reason(hidden) == "the disk is full; free some space"
    code, printed = outcome(capsys, raising(hidden))
    assert (code, printed.partition(",")[0]) == (2, "error: while writing: the disk is full; free some space")


@pytest.mark.parametrize(
    "bug",
    [ValueError("wrong"), FileNotFoundError(errno.ENOENT, "No such file", "x"), OSError("h5py says"), KeyError(1)],
)
def test_a_bug_keeps_its_traceback(bug):
    @command
    def main(argv=None):
        raise bug

    with pytest.raises(type(bug)):
        main([])


def test_existing_folder_names_key_and_repair(tmp_path):
    assert existing_folder(tmp_path, "data.root", "correct it") == tmp_path
    with pytest.raises(UserError, match=r"^data\.root: folder .*/none does not exist; correct it$"):
        existing_folder(tmp_path / "none", "data.root", "correct it")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^data\.root: folder .*/file is a file; correct it$"):
        existing_folder(tmp_path / "file", "data.root", "correct it")


def test_free_disk_is_that_of_the_nearest_folder_that_stands(tmp_path, monkeypatch):
    asked = []
    usage = namedtuple("usage", "total used free")

    def disk_usage(path):
        asked.append(path)
        return usage(10, 0, 5_000_000)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    check_free_disk(tmp_path / "a" / "b", 5_000_000, "data.features")
    with pytest.raises(
        UserError, match=r"b: needs 6 MB, 5 MB are free; free some space, or .* --set data\.features=DIR"
    ):
        check_free_disk(tmp_path / "a" / "b", 5_500_001, "data.features")
    assert asked == [tmp_path, tmp_path]
