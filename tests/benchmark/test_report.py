"""Figures, report, comparison and page."""

import json

import pytest

from tools.dev.benchmark.docs import fill, fill_file
from tools.dev.benchmark.figure import Figure, memory_figure, time_figure
from tools.dev.benchmark.options import Options
from tools.dev.benchmark.parts import PARTS, measure_part
from tools.dev.benchmark.regressions import (
    changes,
    lost,
    machine_differences,
    regressions,
)
from tools.dev.benchmark.report import (
    describe,
    figures_of,
    headline,
    read_report,
    show_ratio,
    show_value,
    table_markdown,
    table_text,
    write_report,
)
from tools.dev.benchmark.timing import Ratio

FIGURES = [
    Figure(dict(B=64), 'time', 0.4, 1.0, 2.5, 'loops', bar=0.5, rounds=3),
    Figure(dict(B=64), 'memory', 0.6, 6e6, 1e7, 'loops', 'bytes', bar=0.5),
    Figure(dict(), 'UAR', ours=0.7, unit='of 1', note='a|b'),
]


def report_of(figures=FIGURES, part='necks'):
    report = describe(Options(quick=True))
    report['parts'][part] = dict(
        title='T', seconds=1.0, figures=[f.to_dict() for f in figures]
    )
    return report


def test_a_bar_is_met_or_not():
    assert [f.met for f in FIGURES] == [True, False, None]
    assert Figure({}, 'x', ratio=1.0, bar=1.0).met
    assert not Figure({}, 'count', ours=1.0, bar=0.0).met
    assert Figure({}, 'count', ours=0.0, bar=0.0).met
    assert Figure({}, 'nothing known', bar=1.0).met is None


def test_a_figure_survives_json():
    for figure in FIGURES:
        data = json.loads(json.dumps(figure.to_dict()))
        assert Figure.from_dict(data) == figure
    ratio = Ratio(0.5, (0.4, 0.6), (1.0, 2.0), 7)
    figure = time_figure(dict(M=4), ratio, 'loops', bar=0.5)
    data = json.loads(json.dumps(figure.to_dict()))
    assert Figure.from_dict(data) == figure
    assert figure.rounds == 7 and figure.spread == (0.4, 0.6)


def test_other_keys_belong_to_the_case():
    data = dict(quantity='time', ratio=0.5, source='frames', met=False)
    found = Figure.from_dict(data)
    assert found.case == dict(source='frames') and found.met is None


def test_memory_that_is_noise_has_no_ratio():
    small = memory_figure({}, 100, 50, 'loops', bar=0.5)
    assert small.ratio is None and small.bar is None and 'noise' in small.note
    assert memory_figure({}, 100, 2**21, 'loops', bar=0.5).met


def test_values_are_shown_with_their_units():
    assert show_value(0.0123, 's') == '12.3 ms'
    assert show_value(12.3456, 's') == '12.35 s'
    assert show_value(1234.5e6, 'bytes') == '1,234.5 MB'
    assert show_value(0.25, 'a second') == '0.25 a second'
    assert show_value(None, 's') == ''
    spread = Figure({}, 'time', 0.5, spread=(0.4, 0.6), rounds=3)
    assert show_ratio(spread) == '0.5 (0.4 to 0.6)'


def test_tables_show_every_figure():
    report = report_of()
    text, markdown = (
        table_text(report, 'necks'),
        table_markdown(report, 'necks'),
    )
    for table in (text, markdown):
        assert 'B=64: memory' in table and '10.0 MB, loops' in table
        assert 'yes' in table and 'no' in table
    assert 'a\\|b' in markdown  # the cell stays one
    assert len({line.count('| ') for line in markdown.splitlines()}) == 1
    assert 'no measurement' in headline(report)
    assert table_text(report, 'absent').count('\n') == 0


def test_a_report_is_read_as_it_was_written(tmp_path):
    path = tmp_path / 'sub' / 'report.json'
    report = report_of()
    write_report(report, path)
    assert read_report(path) == report
    assert figures_of(report, 'necks') == FIGURES


@pytest.mark.parametrize(
    'text', ['', '{', '[]', '{}', '{"schema": 0}', '{"schema": 1}', '"x"']
)
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / 'report.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='make it anew'):
        read_report(path)


def worse(factor):
    return [
        Figure(f.case, f.quantity, f.ratio and f.ratio * factor, f.ours)
        for f in FIGURES
    ]


def test_regressions_are_ratios_of_ratios():
    before = report_of()
    found = changes(before, report_of(worse(1.2)))
    assert [c.factor for c in found] == [pytest.approx(1.2)] * 2
    assert len(regressions(found, 0.15)) == 2
    assert regressions(found, 0.25) == []
    assert regressions(changes(before, report_of(worse(0.5)))) == []
    # A slower machine: both sides take longer, no ratio changes.
    slower = [Figure(f.case, f.quantity, f.ratio, f.ours * 9) for f in FIGURES]
    assert {c.factor for c in changes(before, report_of(slower))} == {1.0}


def test_a_lost_bar_and_a_lost_figure_are_told():
    case = dict(B=1)
    kept = Figure(case, 'time', 1.0, 1.0, bar=1.03)
    waits = Figure(case, 'waits', None, 0.0, bar=0.0)
    before = report_of([kept, waits])
    assert lost(before, report_of([kept, waits])) == []
    assert lost(before, report_of(part='step')) == []
    # Less than the tolerance, and without a ratio.
    now = report_of(
        [
            Figure(case, 'time', 1.05, 1.05, bar=1.03),
            Figure(case, 'waits', None, 9.0, bar=0.0),
        ]
    )
    assert [line.rpartition(': ')[2] for line in lost(before, now)] == [
        'its bar is met no more'
    ] * 2
    (line,) = lost(before, report_of([waits]))
    assert line.endswith('B=1: time: not measured any more')


def test_figures_of_one_report_alone_are_not_compared():
    assert changes(report_of(), report_of(part='step')) == []
    new = [Figure(dict(B=1), 'time', 0.5, 1.0)]
    assert changes(report_of(), report_of(new)) == []


def test_kinds_of_machine_are_told_apart():
    before, now = report_of(), report_of()
    assert machine_differences(before, now) == []
    now['machine'] = dict(before['machine'], kind='another', threads=99)
    found = machine_differences(before, now)
    assert len(found) == 2 and 'another' in found[0]


PAGE = """# Speed

<!-- benchmark:machine:begin -->
<!-- benchmark:machine:end -->
text
<!-- benchmark:necks:begin -->
old
<!-- benchmark:necks:end -->
<!-- benchmark:gpu:begin -->
kept
<!-- benchmark:gpu:end -->
"""


def test_a_page_is_filled_between_its_markers(tmp_path):
    report = report_of()
    page = fill(PAGE, report)
    assert table_markdown(report, 'necks') in page and 'old' not in page
    assert headline(report) in page
    assert 'kept' in page and '\ntext\n' in page  # not in the report
    assert fill(page, report) == page
    path = tmp_path / 'page.md'
    path.write_text(PAGE)
    assert fill_file(path, report) and not fill_file(path, report)
    assert path.read_text() == page


@pytest.mark.parametrize(
    'page',
    [
        '<!-- benchmark:necks:begin -->',
        '<!-- benchmark:necks:end -->\n<!-- benchmark:necks:begin -->',
        2 * '<!-- benchmark:necks:begin -->\n<!-- benchmark:necks:end -->',
        '<!-- benchmark:unknown:begin -->\n<!-- benchmark:unknown:end -->',
    ],
)
def test_wrong_markers_are_refused(page):
    with pytest.raises(ValueError, match='benchmark:'):
        fill(page, report_of())


def test_parts_are_measured_by_their_modules(monkeypatch):
    from tools.dev.benchmark import contrastive

    figures = FIGURES[:2]
    monkeypatch.setattr(contrastive, 'measure_growth', lambda o: figures)
    found = measure_part('growth', Options())
    assert found['title'] == PARTS['growth'].title
    assert found['figures'] == [f.to_dict() for f in FIGURES[:2]]
