"""Prompts: the label in its place, templates that cannot be used."""

import pytest

from utils.cli_utils import UserError
from utils.text_utils.prompts import DEFAULT_TEMPLATES, check_templates, prompts_of, read_templates, spoken


def test_the_label_takes_its_place():
    assert prompts_of("crackling_fire", ["a {label}.", "{label} and {label}"]) == [
        "a crackling fire.",
        "crackling fire and crackling fire",
    ]
    assert prompts_of("{x}", ["{label} {y}"]) == ["{x} {y}"]  # other braces are text
    assert spoken("  sea__waves ") == "sea waves"


def test_the_default_templates_are_templates():
    assert check_templates(DEFAULT_TEMPLATES, "") == list(DEFAULT_TEMPLATES)


def test_a_file_of_templates(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_bytes("\ufeff  This is {label}. \r\n\r\nÇa, c'est {label}\r\n".encode())
    assert read_templates(path) == ["This is {label}.", "Ça, c'est {label}"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a {label}\na sound\n", "template 'a sound' has no {label}; write {label} where the label belongs"),
        (b"\n \n", "holds no template; write one a line, such as 'This is a sound of {label}.'"),
        (b"{label}\n {label}\n", "template '{label}' occurs twice; keep one"),
        (b"{label} \xe9\n", "not UTF-8 (invalid continuation byte at byte 8); save it as UTF-8"),
    ],
)
def test_files_that_cannot_be_used_are_told(tmp_path, content, message):
    path = tmp_path / "templates.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_templates(path)
    assert str(caught.value) == f"{path}: {message}"


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="no such file; name a text file with one template a line"):
        read_templates(tmp_path / "none.txt")
    with pytest.raises(UserError, match="is a folder; name a text file"):
        read_templates(tmp_path)
