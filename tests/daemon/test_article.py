"""Articles: what is read of them, and where they are cut."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.article.pieces import pieces_of
from daemon.handlers.article.reading import read_article


def read(text, name="a.md", **more):
    data = text if isinstance(text, bytes) else text.encode()
    return read_article(data, name, **{"most_chars": 100_000, "piece_chars": 400, **more})


def spoken(text, name="a.md"):
    return [piece.spoken for piece in read(text, name).pieces]


@given(st.text(alphabet="ab.,! ?\n\"'é—", max_size=400), st.integers(1, 60))
def test_no_letter_is_lost_or_doubled_and_no_piece_is_too_long(text, most):
    pieces = pieces_of(text, most)

    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= most for piece in pieces)


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=9), min_size=1, max_size=80))
def test_words_that_fit_are_never_cut(words):
    assert " ".join(pieces_of(" ".join(words), 20)).split() == words


def test_pieces_end_at_sentences_and_long_ones_at_clauses():
    assert ["Dr. Smith left at 3.5 p.m. today."] == pieces_of(
        "Dr. Smith left at 3.5 p.m. today.", 40
    )
    assert ["One two three.", "Four five six."] == pieces_of("One two three. Four five six.", 20)
    assert ["One two three,", "four five six."] == pieces_of("One two three, four five six.", 20)


def test_markdown_is_read_as_a_reader_would():
    text = "# Head\n\nA *b* [c](http://x.org/d) `e` <http://x.org/f>\n\n|n|m|\n|-|-|\n|1|2|\n"
    assert ["Head", "A b c e x.org", "n, m.", "1, 2."] == spoken(text)
    assert 1 == read("a\n\n```\ncode\n```\n").code_blocks


def test_page_is_read_without_its_scripts_and_menus():
    text = (
        "<title>T</title><nav>menu</nav><h1>Head</h1><p>A<b>b</b> &amp; c<script>x()</script><p>d"
    )
    article = read(text, "a.html")
    assert ("T", ["Head", "Ab & c", "d"]) == (article.title, [p.text for p in article.pieces])


def book(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def test_book_is_read_in_the_order_of_its_spine():
    container = "<container><rootfiles><rootfile full-path='o/b.opf'/></rootfiles></container>"
    items = "<item id='x' href='2.html'/><item id='y' href='1.html'/>"
    package = f"{items}<itemref idref='x'/><itemref idref='y'/>"
    files = {"META-INF/container.xml": container, "o/b.opf": package}
    files |= {"o/2.html": "<h1>First</h1><p>a", "o/1.html": "<title>Second</title><p>b"}
    assert ["First", "a", "Second", "b"] == spoken(book(files), "a.epub")


def test_book_that_unpacks_to_gigabytes_is_refused_in_time():
    files = {"META-INF/container.xml": b" " * (40 << 20)}
    with pytest.raises(BadInput, match="TEXT_TOO_LONG"):
        read(book(files), "a.epub")


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"caf\xe9", "a.txt", "TEXT_NOT_UTF8"),
        (b"a\0b", "a.txt", "TEXT_NOT_UTF8"),
        (b"PK\x03\x04", "a.epub", "INPUT_DAMAGED"),
        (book({"a": "b"}), "a.epub", "INPUT_DAMAGED"),
        (b"---\nvioce: x\n---\na", "a.md", "FRONT_MATTER_INVALID"),
        (b"---\n- a\n---\na", "a.md", "FRONT_MATTER_INVALID"),
        (b"---\nspeakers: {ANNA: {voice: x}}\n---\nBEN: hi", "a.md", "SPEAKER_UNKNOWN"),
        (b"word " * 30_000, "a.txt", "TEXT_TOO_LONG"),
    ],
)
def test_what_cannot_be_used_says_why(data, name, code):
    with pytest.raises(BadInput) as caught:
        read(data, name)
    assert code == caught.value.code


@pytest.mark.parametrize(
    "text", ["", "\ufeff", "***", "```\ncode\n```", "\u200b\u202e", "---\ntitle: x\n---\n"]
)
def test_nothing_to_speak_is_no_failure(text):
    with pytest.raises(NothingToDo, match="TEXT_EMPTY"):
        read(text)


def test_marks_without_sound_are_left_out_and_other_scripts_are_kept():
    assert ["abc مرحبا"] == spoken("a\u200bb\u202ec\x07 مرحبا")


def test_dialogue_and_pronunciation():
    text = "---\nspeakers: {ANNA: {voice: x}}\npronounce: {SQL: sequel}\n---\nHi\nANNA: SQL\nmySQL"
    said = [(piece.speaker, piece.spoken) for piece in read(text).pieces]
    assert [("", "Hi"), ("ANNA", "sequel mySQL")] == said


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("en", "5 km at 20 °C, 50%.", "five kilometers at twenty degrees Celsius, fifty percent."),
        ("en", "On 2026-11-28.", "On November twenty-eighth, twenty twenty-six."),
        ("en", "In 1905 and the 1990s.", "In nineteen oh five and the nineteen nineties."),
        ("en", "$5 million", "five million US dollars"),
        ("en", "1,200.5 m", "one thousand two hundred point five meters"),
        ("en", "At 9:05, −16 or 3–4.", "At nine oh five, minus sixteen or three to four."),
        ("en", "The 21st; e.g. Dr. X etc.", "The twenty-first; for example Doctor X et cetera."),
        ("en", "1.2.3, 192.168.0.1, A4, 007", "1.2.3, 192.168.0.1, A4, 007"),
        ("en-GB", "2 kg", "two kilograms"),
        ("de", "3,5 % von 5 €", "3,5 Prozent von 5 Euro"),
        ("de", "z. B. 10–20 kg", "zum Beispiel 10 bis 20 Kilogramm"),
        ("de", "Am 2026-11-28", "Am 28. November 2026"),
        ("", "5 km", "5 km"),
        ("xx", "5 km", "5 km"),
    ],
)
def test_figures_and_signs_are_spoken_as_a_reader_would(language, written, said):
    pytest.importorskip("babel")
    pytest.importorskip("inflect")
    (piece,) = read(written, language=lambda _: language).pieces

    assert (written, said) == (piece.text, piece.spoken)


def test_language_of_a_page_is_that_of_its_markup_and_words_that_are_named_go_first():
    pytest.importorskip("babel")
    page = "<html lang=de-AT><p>5 km</p>"
    text = "---\nlanguage: en\npronounce: {km: clicks}\n---\n5 km"

    assert ["5 Kilometer"] == spoken(page, "a.html")
    assert ["five clicks"] == spoken(text)
