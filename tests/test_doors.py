"""Command lines and tables of results stop at the door of a script: what is behind takes and gives values."""

import ast
import pathlib

PROJECT = pathlib.Path(__file__).parents[1]
# Scripts whose functions still take the whole command line.
ROOMS = ("models", "utils", "tasks", "postprocessing/submission.py")


def files(*rooms):
    found = [PROJECT / room for room in rooms]
    return [file for path in found for file in ([path] if path.suffix else sorted(path.rglob("*.py")))]


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def takes_a_command_line(function):
    """Whether a parameter is an argparse.Namespace; `of` is the door of a type: it turns a command line into values."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return function.name != "of" and any("Namespace" in ast.unparse(a.annotation) for a in arguments if a.annotation)


def test_functions_take_values_and_not_command_lines():
    taken = [f"{path.name}: {f.name}" for path in files(*ROOMS) for f in functions(path) if takes_a_command_line(f)]
    assert taken == []


def test_a_command_line_is_seen():
    (door, inner) = ast.parse("def of(a: argparse.Namespace): ...\ndef f(x, *, b: argparse.Namespace): ...").body
    assert not takes_a_command_line(door)
    assert takes_a_command_line(inner)
