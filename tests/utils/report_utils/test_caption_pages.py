"""The page of a captioner: order, players and pictures, and captions as text."""

from tests.pages import needs_browser, opened, read, targets
from tests.utils.report_utils.test_pages import EVIL, png, write_sound
from utils.report_utils import CaptionedClip, caption_page


def clip(name, cider, file=None, references=("a dog", "a loud dog"), hypothesis="a cat", similarity=0.5):
    return CaptionedClip(name, file, references, hypothesis, cider, similarity)


def titles(page, section):
    return [card.one("h3").text for card in page.section(section).all("article")]


def written(folder, clips, shown=2, pictures=False):
    path = folder / "runs" / "x" / "page.html"
    caption_page("What it says", "a run", ["text"], clips, shown, pictures=pictures).write(path)
    return path


def test_best_and_worst_come_first(tmp_path):
    clips = [clip(f"c{n}", n / 10, similarity=1 - n / 10) for n in (3, 0, 5, 1, 4, 2)]
    page = read(written(tmp_path, [*clips, clip("tie", 0.5, similarity=0.9)]))
    assert [titles(page, name) for name in ("Best", "Worst", "In between")] == [
        ["tie", "c5"],
        ["c0", "c1"],
        ["c4", "c3", "c2"],
    ]
    few = read(written(tmp_path, clips[:3]))
    assert titles(few, "Best") == ["c5", "c3"]
    assert titles(few, "Worst") == ["c0"]  # no clip twice
    assert "In between" not in few.text


def test_a_card_shows_the_clip_and_both_captions(tmp_path):
    sound = write_sound(tmp_path / "root" / "a #1.wav")
    path = written(tmp_path, [clip("a #1.wav", 1.25, sound, similarity=None), clip("b", 1, None, ["one"], "")])
    assert targets(path)[-1].samefile(sound)
    first, second = read(path).all("article")
    assert first.one("audio").attributes["preload"] == "none"
    assert "CIDEr-D 1.250" in first.text
    assert "similarity" not in first.text
    assert [item.text for item in first.all("li")] == ["a cat", "a dog", "a loud dog"]
    assert "2 references" in first.text
    assert [item.text for item in second.all("li")] == ["(says nothing)", "one"]
    assert "not a clip of the split" in second.text


def test_pictures_are_shown(tmp_path):
    picture = tmp_path / "root" / "p.png"
    picture.parent.mkdir()
    picture.write_bytes(png())
    path = written(tmp_path, [clip("p.png", 1, picture)], pictures=True)
    assert read(path).one("img").attributes["alt"] == "p.png"
    assert targets(path)[-1].samefile(picture)


@needs_browser
def test_captions_are_text(tmp_path):
    path = written(tmp_path, [clip(EVIL, 1, write_sound(tmp_path / "a.wav"), [EVIL], EVIL)])
    found = opened(path)
    assert found.console == []
    assert found.dom.one("title").text == "What it says"
    assert [item.text for item in found.dom.one("article").all("li")] == [EVIL, EVIL]
