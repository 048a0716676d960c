import pytest

from utils.metric_utils.recommendation.titles import normal_title

SAME = [
    ("Blue Sky (Live)", "blue sky"),
    ("Blue Sky (live at Leeds, 1970)", "blue sky"),
    ("Blue Sky - Live at the BBC", "blue sky"),
    ("Blue Sky – Live", "blue sky"),
    ("Blue Sky [Live in Paris]", "blue sky"),
    ("Blue Sky (Paris, live)", "blue sky"),
    ("Blue Sky - Remastered 2011", "blue sky"),
    ("Blue Sky - 2011 Remaster", "blue sky"),
    ("Blue Sky (2011 Digital Remaster)", "blue sky"),
    ("Blue Sky 2011 Remaster", "blue sky"),
    ("Blue Sky (Demo)", "blue sky"),
    ("Blue Sky [demo]", "blue sky"),
    ("Blue Sky (acoustic version)", "blue sky"),
    ("Blue Sky - Radio Edit", "blue sky"),
    ("Blue Sky radio edit", "blue sky"),
    ("Blue Sky (DJ Someone Remix)", "blue sky"),
    ("Blue Sky - Mono - 2009 Remaster", "blue sky"),
    ("Blue Sky (Live) [2009 Remaster]", "blue sky"),
    ("Blue Sky (feat. Ann Other)", "blue sky"),
    ("Blue Sky feat. Ann Other", "blue sky"),
    ("Blue Sky ft. Ann Other (Live)", "blue sky"),
    ("Blue Sky featuring Ann Other - Radio Edit", "blue sky"),
    ("Blue Sky (Take 3)", "blue sky"),
    ("  BLUE   sky!! ", "blue sky"),
    ("Blue-Sky", "blue sky"),
    ("Don't Go", "dont go"),
    ("Don’t Go", "dont go"),
    ("Rock & Roll", "rock and roll"),
    ("Café del Mar", "cafe del mar"),
    ("Cafe\u0301 del Mar", "cafe del mar"),
    ("ＢＬＵＥ ＳＫＹ", "blue sky"),
    ("Straße", "strasse"),
]

DIFFERENT = [  # names another piece, or the words of a version are the title
    ("Blue Sky (Part II)", "blue sky part ii"),
    ("Blue Sky, Pt. 2", "blue sky part 2"),
    ("Blue Sky Pt 2 (Live)", "blue sky part 2"),
    ("Blue Sky - Part II", "blue sky part ii"),
    ("Blue Sky (Reprise)", "blue sky reprise"),
    ("Live Forever", "live forever"),
    ("Long Live", "long live"),
    ("Anthem (Live Forever)", "anthem live forever"),
    ("One Band - Live Forever", "one band live forever"),
    ("Acoustic", "acoustic"),
    ("Alive (at last)", "alive at last"),
    ("Left Foot", "left foot"),
    ("(Live)", "live"),
    ("???", "???"),
    ("がいこく", "がいこく"),
    ("かいこく", "かいこく"),
    ("", ""),
    ("   ", ""),
]


@pytest.mark.parametrize(("title", "expected"), SAME)
def test_a_version_has_the_title_of_its_piece(title, expected):
    assert normal_title(title) == expected


@pytest.mark.parametrize(("title", "expected"), DIFFERENT)
def test_another_piece_remains_another(title, expected):
    assert normal_title(title) == expected


@pytest.mark.parametrize("title", [title for title, _ in SAME + DIFFERENT])
def test_a_normal_title_is_its_own(title):
    assert normal_title(normal_title(title)) == normal_title(title)


def test_a_long_title_takes_no_time():
    assert normal_title("( - [" * 20_000 + "live") != ""
