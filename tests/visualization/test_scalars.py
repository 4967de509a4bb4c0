"""Learning curves of sessions that were stopped and resumed."""

import json

import pytest

from micacl_mm.visualization import curves
from micacl_mm.visualization.curves import plot_curves
from micacl_mm.visualization.scalars import Series, read_scalars

from .helpers import check_png


def train(epoch, step, loss=1.0, **more):
    return dict(
        lr=0.1 / step, loss=loss, epoch=epoch, iter=step, step=step, **more
    )


def val(epoch, uar):
    metrics = {'acc/UAR': uar, 'acc/WAR': 0.5, 'acc/recall/a': 0.1}
    return dict(metrics, data_time=0.1, time=0.2, step=epoch)


@pytest.fixture
def write(tmp_path):
    def write(*sessions):
        paths = []
        for number, session in enumerate(sessions):
            paths.append(tmp_path / f'{number}.json')
            lines = [
                line if isinstance(line, str) else json.dumps(line)
                for line in session
            ]
            paths[-1].write_text('\n'.join(lines))
        return paths

    return write


def test_one_session(write):
    found = read_scalars(
        write(
            [
                train(1, 4, 3.0, loss_cls=2.0, loss_mccl=1.0),
                train(1, 8, 2.0, loss_cls=1.5, loss_mccl=0.5),
                val(1, 0.2),
                train(2, 12, 1.0, loss_cls=0.8, loss_mccl=0.2),
                train(2, 16, 0.5, loss_cls=0.4, loss_mccl=0.1),
                val(2, 0.4),
            ]
        )
    )
    x = [0.5, 1.0, 1.5, 2.0]
    assert found.unit == 'epoch'
    assert found.losses == {
        'loss': Series(x, [3.0, 2.0, 1.0, 0.5]),
        'loss_cls': Series(x, [2.0, 1.5, 0.8, 0.4]),
        'loss_mccl': Series(x, [1.0, 0.5, 0.2, 0.1]),
    }
    assert found.rates == {
        'lr': Series(x, [0.1 / 4, 0.1 / 8, 0.1 / 12, 0.1 / 16])
    }
    assert found.metrics == {
        'UAR': Series([1, 2], [0.2, 0.4]),
        'WAR': Series([1, 2], [0.5, 0.5]),
    }


def test_a_resumed_session_replaces_what_it_repeats(write):
    """Killed in epoch 3 while writing, resumed behind epoch 2."""
    first = [
        *(train(1, 4), train(1, 8), val(1, 0.1)),
        *(train(2, 12), train(2, 16), val(2, 0.2), train(3, 20, 9.0)),
        '{"lr": 0.1, "lo',
    ]
    second = [train(3, 20, 7.0), train(3, 24, 6.0), val(3, 0.3)]
    found = read_scalars(write(first, second))
    x = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert found.losses['loss'] == Series(x, [1.0, 1.0, 1.0, 1.0, 7.0, 6.0])
    assert found.metrics['UAR'] == Series([1, 2, 3], [0.1, 0.2, 0.3])


def test_a_training_begun_anew_replaces_all_of_the_old(write):
    old = [train(1, 4, 9.0), train(1, 8, 9.0), val(1, 0.9), train(2, 12, 9.0)]
    new = [train(1, 4, 1.0), train(1, 8, 1.0), val(1, 0.1)]
    found = read_scalars(write(old, [], new))
    assert found.losses['loss'] == Series([0.5, 1.0], [1.0, 1.0])
    assert found.metrics['UAR'] == Series([1], [0.1])


def test_epochs_whose_end_is_not_logged(write):
    """Of 100 iterations an epoch the 30th, 60th and 90th are logged."""
    steps = [30, 60, 90, 130, 160, 190, 230, 260, 290]
    found = read_scalars(
        write([train(1 + step // 100, step) for step in steps])
    )
    for x, step in zip(found.losses['loss'].x, steps, strict=True):
        assert x == pytest.approx(step / 100, abs=0.11)
        assert step // 100 <= x <= step // 100 + 1


def test_a_training_that_counts_iterations(write):
    records = [train(1, step) for step in (10, 20, 30)]
    for record in records:
        del record['epoch']
    metrics = {'acc/mean1': 0.3, 'acc/top1': 0.6, 'step': 20}
    found = read_scalars(write([*records[:2], metrics, records[2]]))
    assert found.unit == 'iteration'
    assert found.losses['loss'].x == [10, 20, 30]
    assert found.metrics == {
        'UAR': Series([20], [0.3]),
        'WAR': Series([20], [0.6]),
    }


def test_nothing_is_logged_yet(write):
    with pytest.raises(ValueError, match='no training iteration'):
        read_scalars(write([], [val(1, 0.1)]))


def test_panels(write, monkeypatch):
    monkeypatch.setattr(curves, 'save', lambda figure, _: figure)
    terms = dict(loss_cls=2.0, loss_mccl=1.0)
    run = read_scalars(write([train(1, 4, 3.0, **terms), val(1, 0.2)]))
    axes = plot_curves([run, run], None, tested=1).axes
    assert [panel.get_title(loc='left') for panel in axes] == [
        *('loss_cls', 'loss_mccl'),
        'UAR and WAR of each validation, %',
        'learning rate',
    ]
    uar, again, war = (line.get_xydata() for line in axes[2].lines[:3])
    assert uar.tolist() == again.tolist() == [[1, 20]]
    assert war.tolist() == [[1, 50]]


def test_pictures(write, tmp_path):
    session = [train(1, 4), train(1, 8, float('nan')), val(1, 0.2)]
    one = read_scalars(write(session))
    check_png(plot_curves([one], tmp_path / 'one.png', 'a run', 1))
    bare = read_scalars(write([train(1, 4), train(1, 8)]))
    assert not bare.metrics
    check_png(plot_curves([one, bare, one], tmp_path / 'three.png'))
