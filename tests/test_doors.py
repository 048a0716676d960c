"""Command lines and tables of results stop at the door of a script: what is behind takes and gives values."""

import ast
import pathlib

PROJECT = pathlib.Path(__file__).parents[1]
ROOMS = ("main.py", "models", "utils", "tasks", "preprocessing", "postprocessing", "benchmarks", "example")


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


def takes_or_gives_a_table_of_anything(function):
    """Whether a signature holds dict[str, Any] or a Mapping of it."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [a.annotation for a in arguments if a.annotation]
    annotations += [function.returns] if function.returns else []
    return any(f"{kind}[str, Any]" in ast.unparse(a) for a in annotations for kind in ("dict", "Mapping"))


def test_results_are_values_until_they_are_written():
    found = [f.name for p in files("postprocessing") for f in functions(p) if takes_or_gives_a_table_of_anything(f)]
    assert set(found) <= {
        "_facts",  # of audio_encoder.json, which models/exported.py checks and reads
        "_write",  # the same
        "write_results",  # of zero_shot: what made the results, as its JSON file says it
    }


def test_a_command_line_is_seen():
    (door, inner) = ast.parse("def of(a: argparse.Namespace): ...\ndef f(x, *, b: argparse.Namespace): ...").body
    assert not takes_a_command_line(door)
    assert takes_a_command_line(inner)
