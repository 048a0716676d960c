"""Pages: all text escaped, links that lead to files, tables that sort; in a browser where there is one."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.pages import needs_browser, opened, read, targets
from utils.report_utils import (
    BarChart,
    Card,
    Details,
    Figure,
    Grid,
    Note,
    Number,
    Page,
    Paragraph,
    Player,
    Table,
    Thumbnail,
)
from utils.report_utils.pages import relative_url

EVIL = "<script>document.title = 'taken'</script><b x=\"1\" y='2'>&amp; é 鳥 </b>"
NAMES = ["a dog.wav", "#1 50% & more?.wav", "鳥 'é' \"x\".wav", "a:b.wav", "%20.wav", "+;=,.wav", "<b>.wav"]


def write_sound(path: Path, seconds: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        soundfile.write(stream, np.zeros(int(8000 * seconds)), 8000, format="WAV", subtype="PCM_16")
    return path


def png(width: int = 3, height: int = 2) -> bytes:
    """A black PNG, written from the format's definition."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(width)) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def page_of(*blocks) -> Page:
    page = Page("a page")
    page.section("a section", *blocks)
    return page


def written(folder: Path, *blocks):
    """A page with these blocks, read again."""
    page_of(*blocks).write(folder / "page.html")
    return read(folder / "page.html")


def evil_page(folder: Path) -> Page:
    """A page in which every text is markup."""
    chart = BarChart([EVIL], {EVIL: [1]}, EVIL, EVIL, EVIL, {EVIL: [1]})
    page = Page(EVIL, EVIL)
    page.section(EVIL, EVIL, Paragraph([EVIL]), Note(EVIL), Figure(chart, EVIL))
    cells = Table([EVIL, "n"], [[EVIL, Number(1, EVIL)], [Paragraph([EVIL]), 2]])
    page.section("second", cells, Card(EVIL, EVIL, [Details(EVIL, [EVIL])]), Grid([EVIL]))
    page.section("files", Player(folder / EVIL.replace("/", ""), [EVIL]), Thumbnail(folder / "<i>.png", EVIL))
    return page


def test_every_text_is_escaped(tmp_path):
    page = evil_page(tmp_path)
    page.write(tmp_path / "page.html")
    tree = read(tmp_path / "page.html")
    assert len(tree.all("script")) == 1
    assert not tree.all("b") + tree.all("i")
    assert tree.one("head").one("title").text == tree.one("h1").text == EVIL
    assert tree.text.count(EVIL) == 28
    assert tree.one("svg").attributes["aria-label"] == EVIL


@needs_browser
def test_a_browser_takes_no_text_for_markup(tmp_path):
    write_sound(tmp_path / EVIL.replace("/", ""))
    evil_page(tmp_path).write(tmp_path / "page.html")
    dom, console = opened(tmp_path / "page.html")
    assert dom.one("head").one("title").text == EVIL
    assert not dom.all("b")
    assert len(dom.all("audio")) == 1
    assert console == []


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("runs/demo/a.wav", "a.wav"),
        ("runs/demo/sub/a b.wav", "sub/a%20b.wav"),
        ("data/x/50% #1?.wav", "../../data/x/50%25%20%231%3F.wav"),
        ("data/é.wav", "../../data/%C3%A9.wav"),
        ("runs/demo/a:b.wav", "a%3Ab.wav"),  # not the scheme `a:`
        ("runs/demo/x/../a.wav", "a.wav"),
        (os.fsdecode(b"data/\xff.wav"), "../../data/%FF.wav"),
    ],
)
def test_links_are_relative_and_percent_encoded(path, url, tmp_path, monkeypatch):
    assert relative_url(tmp_path / path, tmp_path / "runs" / "demo") == url
    monkeypatch.chdir(tmp_path)
    assert relative_url(Path(path), Path("runs/demo")) == url
    assert relative_url(tmp_path / path, Path("runs/demo")) == url


def test_one_page_in_two_folders(tmp_path):
    sounds = [write_sound(tmp_path / "data" / name) for name in NAMES]
    (tmp_path / "data" / "a b.png").write_bytes(png())
    page = page_of(Grid([Player(path) for path in sounds]), Thumbnail(tmp_path / "data" / "a b.png", "x"))
    for folder in (tmp_path / "runs", tmp_path / "runs" / "trial 0 #1"):
        page.write(folder / "page.html")
        found = targets(folder / "page.html")
        assert len(found) == len(NAMES) + 2  # the image is shown, and linked
        assert all(path.is_file() for path in found)
    assert (tmp_path / "runs" / "page.html").read_text().count('src="../data/') == len(NAMES) + 1


def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff a.wav")
    try:
        write_sound(path)
    except OSError:
        pytest.skip("this disk takes only UTF-8 names")
    page_of(Player(path, [path.name])).write(tmp_path / "page.html")
    assert [p.is_file() for p in targets(tmp_path / "page.html")] == [True]
    assert "\\udcff a.wav" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_files_that_are_not_there_are_named(tmp_path):
    tree = written(tmp_path, Player(tmp_path / "a.wav", ["a dog"]), Thumbnail(tmp_path / "b.png", "b"))
    assert [node.text for node in tree.all("span", "gone")] == [
        f"no such file: {tmp_path / name}" for name in ("a.wav", "b.png")
    ]
    assert not tree.all("audio") + tree.all("img")
    assert "a dog" in tree.text


def test_a_page_needs_no_network_and_loads_no_media_before_they_play(tmp_path):
    sound = write_sound(tmp_path / "a.wav")
    (tmp_path / "b.png").write_bytes(png())
    page_of(Player(sound), Thumbnail(tmp_path / "b.png", "b")).write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "//" not in text.replace("\n//", "").replace("; //", "")  # no address; comments of the script aside
    assert "@import" not in text
    assert "url(" not in text
    tree = read(tmp_path / "page.html")
    assert not tree.all("link")
    assert tree.one("audio").attributes["preload"] == "none"
    assert tree.one("img").attributes["loading"] == "lazy"


def test_the_sections_are_linked(tmp_path):
    page = Page("p", "q")
    for title in ("Numbers & more", "鳥", "Numbers & more"):
        page.section(title, "text")
    page.write(tmp_path / "page.html")
    tree = read(tmp_path / "page.html")
    links = [node.attributes["href"] for node in tree.one("nav").all("a")]
    assert links == [f"#{node.attributes['id']}" for node in tree.all("section")]
    assert len(set(links)) == 3
    assert links[0] == "#1-numbers-more"


def test_the_cells_of_a_table(tmp_path):
    rows = [
        ["a", 1 / 3, np.float32(0.5), 7, np.int64(8), None, Number(0.25, "0.25 – 0.75")],
        ["b", float("nan"), float("inf"), -1, True, "x", Number(-1, "")],
    ]
    tree = written(tmp_path, Table(["name", *"123456"], rows, decimals=2))
    first, second = tree.rows()
    assert [cell.text for cell in first] == ["a", "0.33", "0.50", "7", "8", "", "0.25 – 0.75"]
    assert [cell.text for cell in second] == ["b", "nan", "inf", "-1", "1", "x", ""]
    values = [cell.attributes.get("data-value") for cell in first]
    assert values == [None, repr(1 / 3), "0.5", "7.0", "8.0", None, "0.25"]
    assert second[2].attributes["data-value"] == "Infinity"
    kinds = [cell.attributes.get("class") for cell in first]
    assert kinds == ["short", *["number"] * 6]
    assert [header.text for header in tree.all("th")] == ["name", *"123456"]


def test_a_row_that_does_not_fit_the_columns_is_refused(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        written(tmp_path, Table(["a", "b"], [["1"]]))
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_fails_leaves_the_old_one(tmp_path):
    class Broken:
        def html(self, folder):
            raise RuntimeError("no")

    page_of("old").write(tmp_path / "page.html")
    with pytest.raises(RuntimeError, match="no"):
        page_of(Broken()).write(tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert "old" in read(tmp_path / "page.html").text


SORT = """
const order = [];
const names = () => Array.from(document.querySelectorAll("tbody tr"), (row) => row.cells[0].textContent).join(" ");
const sorts = () => Array.from(document.querySelectorAll("th"), (th) => `${th.getAttribute("aria-sort")}`).join(" ");
for (const column of [1, 1, 0, 0, 2]) {
  document.querySelectorAll("th button")[column].click();
  order.push(`${names()} | ${sorts()}`);
}
const report = document.createElement("pre");
report.textContent = order.join("\\n");
document.body.append(report);
"""


@needs_browser
def test_tables_sort_in_a_browser(tmp_path):
    rows = [
        ["R@10", 0.5, Number(10, "10 – 11")],
        ["none", None, None],
        ["R@5", -2.0, Number(9, "9 – 20")],
        ["é", float("nan"), Number(100, "100 – 101")],
        ["R@1", 1e-9, Number(9, "9 – 10")],
        ["Z", float("inf"), Number(0.5, "0.5 – 1")],
    ]
    page_of(Table(["name", "value", "interval"], rows)).write(tmp_path / "page.html")
    dom, console = opened(tmp_path / "page.html", SORT)
    assert console == []
    assert dom.one("pre").text.split("\n") == [
        "Z R@10 R@1 R@5 none é | null descending null",
        "R@5 R@1 R@10 Z none é | null ascending null",  # what has no number stays below
        "é none R@1 R@5 R@10 Z | ascending null null",  # words by their letters, numbers in them by value
        "Z R@10 R@5 R@1 none é | descending null null",
        "é R@10 R@5 R@1 Z none | null null descending",  # equal ones keep their order
    ]


MEDIA = """
const report = document.createElement("pre");
document.body.append(report);
for (const audio of document.querySelectorAll("audio")) {
  audio.addEventListener("loadedmetadata", () => report.append(`${audio.ariaLabel}: ${audio.duration.toFixed(2)}\\n`));
  audio.preload = "metadata";
  audio.load();
}
for (const image of document.images) image.loading = "eager";
window.addEventListener("load", () => {
  for (const image of document.images) report.append(`${image.alt}: ${image.naturalWidth} x ${image.naturalHeight}\\n`);
});
"""


@needs_browser
def test_a_browser_finds_the_media(tmp_path):
    sounds = [write_sound(tmp_path / "data #1" / name, 0.1 * n) for n, name in enumerate(NAMES, 1)]
    image = tmp_path / "data #1" / "100%.png"
    image.write_bytes(png(5, 4))
    page = page_of(Grid([Player(path) for path in sounds]), Thumbnail(image, "picture"))
    page.write(tmp_path / "runs" / "page.html")
    dom, console = opened(tmp_path / "runs" / "page.html", MEDIA)
    assert console == []
    lengths = [f"{name}: {n / 10:.2f}" for n, name in enumerate(NAMES, 1)]
    assert sorted(dom.one("pre").text.splitlines()) == sorted([*lengths, "picture: 5 x 4"])


@needs_browser
def test_a_browser_reports_a_file_that_does_not_open(tmp_path):
    for name in ("a b.wav", "b.png"):
        (tmp_path / name).write_bytes(b"neither sound nor image")
    page = page_of(Player(tmp_path / "a b.wav"), Thumbnail(tmp_path / "b.png", "b"))
    page.write(tmp_path / "page.html")
    dom, _ = opened(tmp_path / "page.html", MEDIA)
    report = [node.text for node in dom.all("span", "gone")]
    assert sorted(report) == ["does not open: a%20b.wav", "does not open: b.png"]


PLAY = """
const [one, two] = document.querySelectorAll("audio");
const report = document.createElement("pre");
document.body.append(report);
one.muted = two.muted = true;
one.preload = two.preload = "auto";
one.play().then(() => two.play()).then(() => report.append(`${one.paused} ${two.paused}`));
"""


@needs_browser
def test_one_player_plays_at_a_time(tmp_path):
    sounds = [write_sound(tmp_path / f"{n}.wav", 3) for n in range(2)]
    page_of(*map(Player, sounds)).write(tmp_path / "page.html")
    dom, console = opened(tmp_path / "page.html", PLAY)
    assert console == []
    assert dom.one("pre").text == "true false"


NARROW = """
window.addEventListener("load", () => {
  const audios = Array.from(document.querySelectorAll("audio"));
  const report = document.createElement("pre");
  report.textContent = [
    document.documentElement.scrollWidth <= window.innerWidth,
    audios.every((audio) => audio.readyState === audio.HAVE_NOTHING && audio.networkState === audio.NETWORK_IDLE),
    performance.now() < 10000,
  ].join();
  document.body.append(report);
});
"""


@needs_browser
def test_hundreds_of_players_on_a_narrow_screen(tmp_path):
    sound = write_sound(tmp_path / "a.wav")
    chart = BarChart([f"{n}–{n + 9}" for n in range(20)], {"x": range(20)}, "wide", marks={"chance": range(20)})
    cards = [Card(f"query {n} " + "x" * 200, "line", [Grid([Player(sound, ["words " * 9])] * 6)]) for n in range(100)]
    wide = Table([f"a long column {n}" for n in range(20)], [list(range(20))])
    page_of("y" * 300, Note("z" * 300), Figure(chart), wide, *cards).write(tmp_path / "page.html")
    dom, console = opened(tmp_path / "page.html", NARROW, 420)
    assert console == []
    assert len(dom.all("audio")) == 600
    assert dom.one("pre").text == "true,true,true"  # nothing sticks out at the side, nothing was loaded, soon there
