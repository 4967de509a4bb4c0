import pytest
from scipy import stats

from micacl_mm.visualization import recall_plot
from micacl_mm.visualization.recall_plot import plot_recall, recall_intervals
from micacl_mm.visualization.result import check_alike, results_of_rows
from micacl_mm.visualization.style import head_to_tail, mark_of

from .helpers import EMOTIONS, check_png, of_hits, result_of


def test_recalls_of_a_matrix():
    found = recall_intervals([result_of([[3, 1, 0], [0, 2, 0], [0, 0, 0]])])
    means = {name: value.mean for name, value in found.items()}
    assert means == {
        'UAR': 0.875,
        'WAR': pytest.approx(5 / 6),
        'recall/a': 0.75,
        'recall/b': 1.0,  # c has no clip and no recall
    }
    assert all(value.half_width is None for value in found.values())


def test_interval_over_seeds():
    runs = [of_hits(n, 5, 5, seed=n) for n in (2, 4, 9)]
    found = recall_intervals(runs)['recall/a']
    assert found.mean == pytest.approx(0.5) and found.count == 3
    low, high = stats.t.interval(
        0.95, 2, loc=0.5, scale=stats.sem([0.2, 0.4, 0.9])
    )
    assert found.half_width == pytest.approx((high - low) / 2)


def test_folds_are_averaged_over_their_seeds_first():
    runs = [
        of_hits(n, 5, 5, fold=fold, seed=seed)
        for fold, seed, n in ((1, 0, 2), (1, 1, 4), (2, 0, 8))
    ]
    found = recall_intervals(runs)['recall/a']
    assert found.mean == pytest.approx((0.3 + 0.8) / 2) and found.count == 2


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        (dict(selection='last'), 'one selection, got last, val; do this'),
        (dict(config_hash='x'), 'one config_hash'),
        (dict(), r'must differ in \(fold, seed\)'),
    ],
)
def test_runs_that_are_no_replicates(more, words):
    check_alike([of_hits(1, 2, 3), of_hits(1, 2, 3, seed=1)], '')
    with pytest.raises(ValueError, match=words):
        check_alike([of_hits(1, 2, 3), of_hits(1, 2, 3, **more)], 'do this')


def test_order_of_classes():
    assert head_to_tail('abc', [5, 9, 7]) == [1, 2, 0]
    found = [EMOTIONS[i] for i in head_to_tail(EMOTIONS)]
    assert ' '.join(found) == 'Neutral Happy Angry Sad Surprise Fear Disgust'
    found = [EMOTIONS[i] for i in head_to_tail(EMOTIONS, None, 'ferv39k')]
    assert found[-1] == 'Fear'
    assert head_to_tail('cab') == [0, 1, 2]


def test_classes_are_told_apart():
    marks = [tuple(mark_of(index).values()) for index in range(49)]
    assert len(set(marks)) == 49
    assert len({mark['color'] for mark in map(mark_of, range(7))}) == 7


@pytest.mark.parametrize('methods', [1, 2, 10])
@pytest.mark.parametrize('counts', [None, [9, 5, 100]])
def test_pictures(tmp_path, methods, counts):
    # Of the third class there is no clip.
    once = result_of([[9, 1, 0], [4, 6, 0], [0, 0, 0]])
    thrice = [
        result_of([[n, 10 - n, 0], [0, 10, 0], [0, 0, 0]], seed=n)
        for n in (2, 4, 9)
    ]
    found = {
        f'method {i}': [once] if i % 2 else thrice for i in range(methods)
    }
    check_png(plot_recall(found, tmp_path / 'recall.png', counts))


def test_bars_stand_from_head_to_tail(monkeypatch):
    monkeypatch.setattr(recall_plot, 'save', lambda figure, _: figure)
    runs = [of_hits(n, 5, 9, seed=n) for n in (2, 4, 9)]
    found = {'one': [of_hits(1, 2, 3)], 'several': runs}
    (axes,) = plot_recall(found, None, [100, 10, 50]).axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ['a\n100', 'c\n50', 'b\n10']
    assert axes.get_xlim() == (-0.5, 2.5) and axes.get_ylim() == (0, 100)
    bars = [bar for bar in axes.patches if bar.get_height()]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    assert [round(x) for x in middles] == [0, 1, 2] * 2
    sides = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars]
    assert all(sides[k][1] <= sides[k + 3][0] for k in range(3))
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([10, 30, 20, 50, 90, 50])
    half = 100 * recall_intervals(runs)['recall/a'].half_width
    line = axes.lines[0].get_ydata()
    assert list(line) == pytest.approx(
        [max(0, 50 - half), min(100, 50 + half)]
    )
    assert axes.lines[0].get_xdata()[0] == pytest.approx(middles[3])
    colors = {bar.get_facecolor() for bar in bars[:3]}
    assert len(colors) == 1 and bars[3].get_facecolor() not in colors


def test_many_classes(tmp_path, monkeypatch):
    classes = [f'class {k}' for k in range(400)]
    result = of_hits(*range(1, 401), total=500, classes=classes)
    monkeypatch.setattr(recall_plot, 'save', lambda figure, _: figure)
    figure = plot_recall({'one': [result]}, None, range(400))
    assert figure.get_size_inches()[0] * 150 < 2**16  # matplotlib's most
    assert len(figure.axes[0].texts) == 0


def test_methods_of_different_classes_have_no_common_axis(tmp_path):
    one, other = of_hits(1, 2), of_hits(1, 2, classes='xyz')
    other = other._replace(classes=('x', 'y'))
    with pytest.raises(ValueError, match='the same classes'):
        plot_recall({'one': [one], 'other': [other]}, tmp_path / 'a.png')


@pytest.mark.parametrize(
    'more', [dict(dataset='dfew'), dict(fold=2), dict(selection='test')]
)
def test_methods_tested_on_other_clips_do_not_stand_side_by_side(
    tmp_path, more
):
    one, other = of_hits(1, 2, 3), of_hits(1, 2, 3, **more)
    ((name, text),) = more.items()
    with pytest.raises(ValueError, match=f'agree in {name}, got .* {text};'):
        plot_recall({'one': [one], 'other': [other]}, tmp_path / 'a.png')


def test_other_numbers_of_clips_do_not_stand_side_by_side(tmp_path):
    one, other = of_hits(1, 2, 3), of_hits(1, 2, 3)
    other = other._replace(matrix=2 * other.matrix)
    with pytest.raises(ValueError, match='on the same clips, but the numbers'):
        plot_recall({'one': [one], 'other': [other]}, tmp_path / 'a.png')


def test_rows_of_one_method(rows):
    found = results_of_rows(rows, 'micacl', dict(selection='val'))
    assert [result.matrix[6, 6].item() for result in found] == [3, 1]
    assert recall_intervals(found)['recall/Fear'].mean == pytest.approx(0.2)
    (only,) = results_of_rows(rows, 'baseline')
    assert only.classes == EMOTIONS and only.metrics()['WAR'] == 0.2


def test_rows_that_cannot_be_averaged(rows):
    words = 'one selection, got last, val; .* --where selection='
    with pytest.raises(ValueError, match=words):
        results_of_rows(rows, 'micacl')


def test_unknown_rows_are_told_with_the_known(rows):
    with pytest.raises(ValueError, match='methods are baseline, micacl'):
        results_of_rows(rows, 'mica')


def test_unknown_columns_are_named(rows):
    with pytest.raises(ValueError, match="no column 'rule'; .*selection"):
        results_of_rows(rows, 'baseline', {'rule': 'last'})
