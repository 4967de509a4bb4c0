import torch

from micacl_mm.visualization import confusion
from micacl_mm.visualization.confusion import plot_pooled_confusion

from .helpers import check_png, of_hits


def test_several_runs_are_added(monkeypatch, tmp_path):
    seen = []
    stock = confusion.plot_confusion

    def plot_confusion(classes, matrix, path):
        seen.append((classes, matrix))
        stock(classes, matrix, path)

    monkeypatch.setattr(confusion, 'plot_confusion', plot_confusion)
    runs = [of_hits(9, 5, 1), of_hits(8, 2, 3, seed=1)]
    path = tmp_path / 'new' / 'confusion_matrix.png'
    assert plot_pooled_confusion(runs, path) == path
    check_png(path)
    ((classes, matrix),) = seen
    expected = torch.tensor([[17, 3, 0], [0, 7, 13], [16, 0, 4]])
    assert classes == ['a', 'b', 'c'] and torch.equal(matrix, expected)
