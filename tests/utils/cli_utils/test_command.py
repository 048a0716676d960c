"""Errors in one line, exit codes, and commands that can be pasted into a shell."""

import argparse
import errno
import os
import shlex
import subprocess
from pathlib import Path

import pytest

import tasks
from tasks import Commands, RunSpec, load_run
from tests import tiny
from utils.cli_utils import (
    ArtefactError,
    ConfigError,
    UserError,
    command,
    command_line,
    disk_error_reason,
    python,
)


def test_command_lines_are_quoted_for_the_shell():
    assert command_line("main.py") == "python main.py"
    assert command_line("preprocessing.audio_logmel", "--workers", "2") == (
        "python -m preprocessing.audio_logmel --workers 2"
    )
    settings = ["--conf", "my conf.yaml", "--set", "data.root=/it's here"]
    assert command_line("preprocessing.clotho_dataset", *settings, "--strict") == (
        "python -m preprocessing.clotho_dataset --conf 'my conf.yaml' --set 'data.root=/it'\"'\"'s here' --strict"
    )


def test_a_panic_of_a_library_is_a_fault_in_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    panic = type("PanicException", (BaseException,), {})("unwrap on None")  # as pyo3 makes it

    @command
    def main(argv=None):
        raise panic

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 70
    printed = capsys.readouterr().err
    assert printed.startswith(
        "error: this is a fault of the program: PanicException: unwrap on None; the traceback is in"
    )
    assert printed.count("\n") == 1


def test_a_scripts_own_conf_and_settings_are_repeated(tmp_path):
    (tmp_path / "a b").mkdir()
    conf = str(tiny.write_conf(tmp_path / "a b"))
    settings = ["training.seed=3", 'experiment="x y"', "search={optimizer.lr: {grid: [1.0e-3, 2.0e-3]}}"]
    argv = ["--conf", conf, *(part for setting in settings for part in ("--set", setting))]
    run, args = load_run([*argv, "--verbose"], parser_with("--verbose"), RunSpec)
    assert (run.training.seed, run.experiment, args.verbose) == (3, "x y", True)
    repeated = Commands.of(args, run.script_of).line("main.py", "--resume")
    assert shlex.split(repeated) == ["python", "main.py", *argv, "--resume"]
    again, _ = load_run(shlex.split(repeated)[2:], parser_with("--resume"), RunSpec)
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
        (errno.EEXIST, "there is a file where a folder is needed"),
        (errno.ENOTDIR, "there is a file where a folder is needed"),
        (errno.EISDIR, "there is a folder where a file is needed"),
        (errno.ENAMETOOLONG, "the name is too long for this file system"),
        (errno.ELOOP, "its symbolic links lead in a circle"),
        (errno.ENOLCK, "the file system gives no locks"),
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
    assert (code, printed.partition(",")[0]) == (
        2,
        "error: while reading or writing: the disk is full; free some space",
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EIO, "the disk reports an input/output error"),
        (errno.ESTALE, "the network drive has lost this file"),
        (errno.EMFILE, "too many open files; raise the limit"),
        (errno.ENOMEM, "the memory is used up"),
        (errno.ECONNREFUSED, "the connection was refused"),
    ],
)
def test_a_machine_that_fails_is_no_bad_input(capsys, number, reason):
    code, printed = outcome(capsys, raising(OSError(number, "as the system says", "/data/x.hdf5")))
    assert code == 71
    assert printed.startswith(f"error: /data/x.hdf5: {reason}")
    assert printed.count("\n") == 1


def test_a_message_with_a_large_value_keeps_its_repair(capsys):
    code, printed = outcome(capsys, raising(UserError(f"x.csv: found {'y' * 10**6}, expected a number; correct it")))
    assert code == 2
    assert printed.startswith("error: x.csv: found yyy")
    assert printed.endswith("yyy, expected a number; correct it\n")
    assert len(printed) < 2100


def test_lines_in_a_message_are_kept_for_bad_keys_alone(capsys):
    assert outcome(capsys, raising(ConfigError("x: 2 bad keys\n  a: 1\n  b: 2")))[1].count("\n") == 3
    forged = UserError("a\nerror: all is well\x1b[2K.wav: no such file")
    assert outcome(capsys, raising(forged)) == (2, "error: a\\nerror: all is well\\x1b[2K.wav: no such file\n")


def test_a_line_runs_from_the_folder_where_it_is_printed(tmp_path, monkeypatch):
    root = Path(tasks.__file__).parents[1]
    tiny.write_conf(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    line = command_line("postprocessing.xmodal_scores", "--conf", "conf.yaml")
    assert line == f"PYTHONPATH={root} {python()} -m postprocessing.xmodal_scores --conf conf.yaml"
    ran = subprocess.run(f"{line} --help", shell=True, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}{root}")
    assert command_line("a.b") == f"{python()} -m a.b"
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.chdir(root)
    assert command_line("a.b") == f"{python()} -m a.b"


def test_the_default_conf_is_not_repeated_however_it_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_conf(tmp_path)
    for spelled in ("conf.yaml", "./conf.yaml", str(tmp_path / "conf.yaml")):
        run, args = load_run(["--conf", spelled], argparse.ArgumentParser(), RunSpec)
        assert Commands.of(args, run.script_of).line("main.py").endswith("main.py")
