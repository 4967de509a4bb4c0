"""What a result row says is text on a page, never a part of it."""

import re
from html.parser import HTMLParser

from micacl_mm.records.board import build_board
from micacl_mm.records.rows import PUBLISHED_COLUMNS
from tools.dev.board.html import board_html

from ..records.board_rows import cells, rows_of

HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    "' onmouseover='alert(3)' {{ 7 * 7 }} {% raw %} &lt;"
)
WORDS = (
    *('method', 'pretraining', 'sampling', 'machine', 'version', 'commit'),
    *('config', 'config_hash', 'command'),
)


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    found = Page()
    found.feed(page)
    return found


def published(text):
    row = dict.fromkeys(PUBLISHED_COLUMNS, '')
    return [row | dict(method=text, source=text, backbone=text, dfew_UAR='60')]


def make(text):
    row = cells(**dict.fromkeys(WORDS, text))
    return board_html(build_board(rows_of(row)), published(text))


def test_a_page_has_no_tag_or_attribute_of_a_row():
    hostile, plain = read(make(HOSTILE)), read(make('plain'))
    assert sorted(hostile.tags) == sorted(plain.tags)
    assert sorted(hostile.attributes) == sorted(plain.attributes)
    assert any(HOSTILE in text for text in hostile.text)  # and shows it


def test_a_page_loads_nothing_and_says_so():
    page = make('plain')
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'none'" in policy[1]
    assert not re.search(r'(src|href)\s*=\s*"?https?:', page)


def test_template_marks_in_a_row_are_not_computed():
    assert '{{ 7 * 7 }}' in ''.join(read(make(HOSTILE)).text)
