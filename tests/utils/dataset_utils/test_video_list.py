"""The CSV of addresses: what it may hold, and one line for each way to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.video_list import ListedRecording, by_turns, check_categories, id_of, read_video_list

A, B, C = (f"https://www.youtube.com/watch?v=abcdefghij{end}" for end in "ABC")
TWO = f"{A},dog\n{B},dog\nhttps://x.org/c.mp3,cat\nd.wav,cat\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(UserError) as error:
        read_video_list(path)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "list.csv")


def test_the_two_columns_are_enough(tmp_path):
    dog, _, cat, local = read_video_list(written(tmp_path, f"url,category\n{TWO}"))
    assert (dog.url, dog.path, dog.category, dog.start_s, dog.end_s) == (A, "", "dog", 0.0, None)
    assert (cat.url, local.url, local.path) == ("https://x.org/c.mp3", "", "d.wav")
    assert local.is_local
    assert not dog.is_local
    assert len({dog.id, cat.id, local.id}) == 3
    assert dog.id == id_of(dog)


def test_every_column_in_any_order_with_blanks(tmp_path):
    text = f"\ufeffcategory, URL ,id,start_s,end_s,channel,split\ndog,{A},x-1,1.5,2,me,train\ndog,{B},_y,,,,\n"
    text += "cat,c.wav,z.2,0,,you,\n\ncat,d.wav,,,4,,test\n"
    dog, other, cat, last = read_video_list(written(tmp_path, text))
    assert (dog.id, dog.start_s, dog.end_s, dog.channel, dog.split) == ("x-1", 1.5, 2.0, "me", "train")
    assert (other.id, other.start_s, other.end_s, other.channel) == ("_y", 0.0, None, "")
    assert (cat.is_section, last.is_section, last.is_local) == (False, True, False)
    assert last.where.endswith("line 6")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_list_of_a_spreadsheet(tmp_path, delimiter):
    path = tmp_path / "sheet.csv"
    path.write_text(f"URL,Category\n{TWO}".replace(",", delimiter), encoding="utf-8-sig", newline="\r\n")
    found, same = read_video_list(path), read_video_list(written(tmp_path, f"url,category\n{TWO}"))
    assert [one._replace(where="") for one in found] == [one._replace(where="") for one in same]


@pytest.mark.parametrize(
    "text",
    [
        '# Segments csv created 2017\n# YTID, start_seconds, end_seconds, positive_labels\n--P, 30.0, 40.0, "/m/09"\n',
        "---g-f_I2yQ,1,people marching,test\n",
        "audiocap_id,youtube_id,start_time,caption\n91139,r1nicOVtvkQ,130,A woman talks\n",
        "fname,labels,mids,split\n64760,Guitar,/m/02sgy,train\n",
    ],
)
def test_published_lists_of_other_columns_are_refused_with_ours(tmp_path, text):
    """AudioSet, VGGSound, AudioCaps, FSD50K: several labels, no header, or no category."""
    said = refused(tmp_path, text)
    assert said.startswith("list.csv: column url, category is missing: found ")
    assert "; expected url, category and perhaps id, channel, start_s, end_s, split, with commas" in said


def test_the_case_of_a_host_means_nothing(tmp_path):
    text = (
        f"url,category\nHTTPS://WWW.YouTube.com/watch?v=abcdefghijA,dog\n{B},dog\n{C},cat\nHttp://X.org/a/B.MP3,cat\n"
    )
    found = read_video_list(written(tmp_path, text))
    assert (found[0].url, found[0].recording) == (A, "youtube abcdefghijA")
    assert found[3].url == "http://x.org/a/B.MP3"


def test_ids_of_ours_depend_on_recording_and_section_alone():
    first = ListedRecording("", "dog", A)
    assert id_of(first) == id_of(first._replace(category="cat", channel="x", url="http://youtu.be/abcdefghijA?t=3"))
    assert id_of(first) != id_of(first._replace(url=B))
    assert id_of(first) != id_of(first._replace(start_s=1.0))
    assert id_of(first) != id_of(first._replace(end_s=1.0))
    assert id_of(first).isalnum()


@pytest.mark.parametrize(
    "url",
    [
        "https://youtu.be/abcdefghijA",
        "http://m.youtube.com/watch?list=PL1&v=abcdefghijA&t=9",
        "https://www.youtube.com/shorts/abcdefghijA?feature=share",
        "https://www.youtube-nocookie.com/embed/abcdefghijA",
    ],
)
def test_one_video_under_other_addresses_is_one_recording(url):
    assert ListedRecording("", "dog", url).recording == ListedRecording("", "dog", A).recording


def test_addresses_of_other_sites_are_told_apart():
    urls = ["https://a.org/watch?v=abcdefghijA", A, "https://youtu.be/abcdefghijAB", "https://a.org/x"]
    assert len({ListedRecording("", "dog", url).recording for url in urls}) == len(urls)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "list.csv: is empty; expected a CSV with the columns url, category"),
        ("url,category\n", "list.csv: has no row below its header; add recordings"),
        ("url,category\n ,\n\n", "list.csv: has no row below its header; add recordings"),
        ("url,category,colour\n" + TWO, "list.csv: unknown column colour; expected url, category and perhaps id, "),
        ("url|category\n", "list.csv: column url, category is missing: found url|category; expected url, category"),
        ("url,label\n" + TWO, "list.csv: column category is missing: found url, label; expected"),
        ("url,category,url\n", "list.csv: the column url occurs twice; rename one"),
        ("url,category\na.wav,b,c\n", "list.csv, line 2: 3 fields, the header has 2; put"),
        ("url,category\n" + TWO + ",dog\n", "list.csv, line 6: no url; write one, or remove the row"),
        ("url,category\n" + TWO + "x.wav\n", "list.csv, line 6: no category; write one, or remove the row"),
        (f"url,category,start_s\n{A},dog,soon\n", "list.csv, line 2: start_s is 'soon', expected seconds from 0 on"),
        (f"url,category,start_s\n{A},dog,-1\n", "list.csv, line 2: start_s is '-1', expected seconds from 0 on"),
        (f"url,category,end_s\n{A},dog,nan\n", "list.csv, line 2: end_s is 'nan', expected seconds from 0 on"),
        (
            f"url,category,start_s,end_s\n{A},dog,3,3\n",
            "list.csv, line 2: the section ends at 3 s and begins at 3 s; correct one",
        ),
        ("url,category\nfile:///etc/x.wav,dog\n", "list.csv, line 2: the address begins with 'file://', expected http"),
        (f"url,category,id\n{A},dog,../x\n", "list.csv, line 2: id '../x' cannot name a file; expected"),
        (f"url,category,id\n{A},dog,/etc/x\n", "list.csv, line 2: id '/etc/x' cannot name a file; expected"),
        (f"url,category,id\n{A},dog,.x\n", "list.csv, line 2: id '.x' cannot name a file; expected"),
        (f"url,category,id\n{A},dog,{'x' * 101}\n", "list.csv, line 2: id 'xxx"),
        (
            f"url,category,id\n{A},dog,x\n{B},dog,X\n",
            "list.csv, line 3: two rows with the id 'X': it is that of line 2 too, or differs in case alone; give",
        ),
        (
            f"url,category\n{A},dog\n{B},cat\n{A},dog\nhttps://youtu.be/abcdefghijB,cat\n",
            f"list.csv, line 4: '{A}' is the recording of line 2 once more (and 1 more such rows); keep one row of it",
        ),
        (
            "url,category\n" + TWO + "e.wav,Dog\n",
            "list.csv, line 6: category 'Dog' differs from 'dog' (line 2) in case",
        ),
        ("url,category\n" + TWO + "e.wav,dog \n", "list.csv, line 6: category 'dog ' differs from 'dog' (line 2) in"),
        (f"url,category\n{A},a b\n{B},ab\n", "list.csv, line 3: category 'ab' differs from 'a b' (line 2) in case or"),
        (
            "url,category\n" + TWO + "e.wav,owl\n",
            "list.csv, line 6: category 'owl' has one recording, expected at least 2: one to train with and one to "
            "measure; add recordings, or leave the category out",
        ),
        (f"url,category\n{A},dog\n{B},dog\n", "categories: found one, 'dog', expected at least 2 to tell apart; add"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, said):
    assert refused(tmp_path, text).startswith(said)


def test_sections_of_one_recording_are_one_recording(tmp_path):
    text = f"url,category,start_s,end_s\n{TWO.replace('dog', 'dog,,').replace('cat', 'cat,,')}"
    text += f"{C},owl,0,5\nhttps://youtu.be/abcdefghijC,owl,5,9\n"
    assert "category 'owl' has one recording" in refused(tmp_path, text)


def test_blanks_behind_all_commas_are_no_difference(tmp_path):
    rows = read_video_list(written(tmp_path, "url, category\n" + TWO.replace(",", ", ")))
    assert [row.category for row in rows] == ["dog", "dog", "cat", "cat"]


def test_checks_of_what_is_left_say_so():
    rows = [ListedRecording("a", "dog", path="a"), ListedRecording("b", "dog", path="b"), ListedRecording("c", "cat")]
    with pytest.raises(UserError, match="has one recording that can be fetched, expected"):
        check_categories(rows, " that can be fetched")


def test_a_limit_takes_from_every_category_by_turns():
    rows = [ListedRecording(str(number), category) for number, category in enumerate("aaaabbc")]
    assert [row.id for row in by_turns(rows, 5)] == ["0", "1", "4", "5", "6"]
    assert by_turns(rows, None) == rows
    assert by_turns(rows, 99) == rows
