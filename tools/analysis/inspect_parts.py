"""Look into a trained MICACL: graph, weights, gain, gradients, positives.

Prints what GEIIM and WIAN have learned and, class by class over training
batches, how hard each loss pulls at the bag feature of a video (norm of its
gradient there), how many others of its class a video meets in its batch, and
how often none. Then the recalls on the test split, as they are and with the
scores divided by the classes' shares of the training videos: what rises there
is known to the feature, and hidden by the frequencies in the classifier.

Usage: python tools/analysis/inspect_parts.py CONFIG CHECKPOINT
           [--batches 20] [--data-root DIR] [--fold 1]
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from micacl_mm import GEIIM, WIAN
from micacl_mm.engine.launch import limit_threads, take_options
from micacl_mm.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line; our data options go to the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--batches', type=int, default=20)
    return parser.parse_args(take_options(sys.argv[1:]))


def watch(neck: nn.Module, look: Callable) -> None:
    """Show each bag that leaves a neck to ``look``."""
    advance = neck.advance

    def watched(*args: object) -> tuple:
        bag, losses = advance(*args)
        look(bag)
        return bag, losses

    neck.advance = watched


def pulls(model: nn.Module, batch: dict, bags: list) -> dict[str, Tensor]:
    """Norm of each loss's gradient at the bag feature, (B,) each."""
    bags.clear()
    data = model.data_preprocessor(batch, training=True)
    losses = model(**data, mode='loss')
    feature = bags[-1].features  # (B, M, C), of the whole neck
    norms = {}
    for name, loss in losses.items():
        if 'loss' in name:
            (grad,) = torch.autograd.grad(loss, feature, retain_graph=True)
            norms[name] = grad.flatten(1).norm(dim=1)
    return norms


def print_parts(model: nn.Module, weights: list[Tensor]) -> None:
    """Print adjacency, instance weights and gain."""
    for part in model.neck.modules():
        if isinstance(part, GEIIM):
            print('adjacency of GEIIM, a row for each receiver:')
            for row in part.adjacency().tolist():
                print('   ', '  '.join(f'{value:.3f}' for value in row))
        if isinstance(part, WIAN) and part.residual != 'none':
            print(f'gain of WIAN: {part.gain.item():+.4f}')
    if weights:
        ordered = torch.cat(weights).sort(dim=1, descending=True)[0].mean(0)
        text = '  '.join(f'{value:.3f}' for value in ordered.tolist())
        print(f'instance weights, mean from largest to smallest: {text}')


def print_classes(classes: list[str], rows: dict[int, list[dict]]) -> None:
    """Print a line of means for each class."""
    columns = list(next(iter(rows.values()))[0])
    print('class     videos', *(f'{name:>16}' for name in columns))
    for label, seen in sorted(rows.items()):
        means = (sum(row[c] for row in seen) / len(seen) for c in columns)
        print(
            f'{classes[label]:<9} {len(seen):>6}',
            *(f'{value:>16.5f}' for value in means),
        )


def recalls(model: nn.Module, loader: DataLoader, shares: Tensor) -> Tensor:
    """Recall in percent of each class, plain and adjusted, (2, K)."""
    hits, videos = torch.zeros(2, len(shares)), torch.zeros(len(shares))
    model.eval()
    for batch in loader:
        with torch.no_grad():
            samples = model.test_step(batch)
        for sample in samples:
            scores, label = sample.pred_score.cpu(), sample.gt_label.item()
            videos[label] += 1
            for row, found in enumerate((scores, scores / shares)):
                hits[row, label] += found.argmax().item() == label
    return 100 * hits / videos


def print_recalls(classes: list[str], found: Tensor) -> None:
    """Print a line for each class and their mean, without absent ones."""
    print('test       recall %  adjusted')
    lines = [*zip(classes, found.T, strict=True)]
    lines.append(('UAR', found.nanmean(dim=1)))
    for name, (plain, adjusted) in lines:
        print(f'{name:<9} {plain:>9.2f} {adjusted:>9.2f}')


def main() -> None:
    """Print the report."""
    args = parse_args()
    limit_threads()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    classes = loader.dataset.metainfo['classes']
    seen = Counter(
        loader.dataset.get_data_info(i)['label']
        for i in range(len(loader.dataset))
    )
    counts = torch.tensor([max(1, seen[k]) for k in range(len(classes))])
    # First, for training batches move the statistics of BatchNorm.
    test = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    found = recalls(model, test, counts / counts.sum())
    model.train()
    bags, weights, rows = [], [], defaultdict(list)
    watch(model.neck, bags.append)
    for part in model.neck.modules():
        if isinstance(part, GEIIM) and part.weight_source != 'none':
            watch(part, lambda bag: weights.append(bag.weights.detach()))
    for _, batch in zip(range(args.batches), loader, strict=False):
        labels = torch.cat([s.gt_label for s in batch['data_samples']])
        norms = pulls(model, batch, bags)
        for index, label in enumerate(labels.tolist()):
            others = (labels == label).sum().item() - 1
            row = {name: norms[name][index].item() for name in norms}
            row.update(others=others, alone=float(others == 0))
            rows[label].append(row)
    print_parts(model, weights)
    print_classes(classes, rows)
    print_recalls(classes, found)


if __name__ == '__main__':
    main()
