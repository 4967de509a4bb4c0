"""One page on one prediction: frames, weights, graph and scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from micacl_mm.apis.clips import Clip
from micacl_mm.apis.predictions import BagPrediction, ClipPrediction
from micacl_mm.faces import crop_face, square_boxes

from .plots import FAINT, draw_matrix, drawing, mark_of, save

_SIDE = 112  # pixels of a frame on the page
_MOST = 12  # classes in a plot
_ROWS = 7  # of a legend
_ACCENT = '#0072B2'


@drawing
def plot_prediction(
    prediction: ClipPrediction, clip: Clip, path: Path
) -> Path:
    """Draw what a prediction is made of, as PNG, PDF or SVG.

    Of the bag with the highest score for the predicted class: the sampled
    frames in their instances with the instance weights under them, the class
    scores, GEIIM's adjacency where there is one, and of a long clip the
    timeline with that window marked.
    """
    label = int(prediction.scores.argmax())
    known = [bag for bag in prediction.bags if bag.scores is not None]
    bag = max(known, key=lambda bag: bag.scores[label])
    long = len(prediction.bags) > 1
    heights = [3.4, 2.9, 1.9][: 3 if long else 2]
    figure = Figure(figsize=(11, sum(heights) + 0.5), layout='constrained')
    face = '' if prediction.face is None else f', face {prediction.face}'
    title = (
        f'{prediction.name}{face}: {prediction.label} '
        f'({bag.start:.1f} to {bag.end:.1f} s)'
    )
    figure.suptitle(title, x=0.01, ha='left', fontsize=13)
    parts = np.atleast_1d(
        figure.subfigures(len(heights), 1, height_ratios=heights)
    )
    images = [_face(prediction, clip, frame) for frame in bag.frames]
    _draw_instances(parts[0], images, bag, clip.seconds)
    if bag.adjacency is None:
        draw_scores(parts[1].add_subplot(), prediction.classes, bag.scores)
    else:
        left, right = parts[1].subplots(1, 2, width_ratios=[1.9, 1])
        draw_scores(left, prediction.classes, bag.scores)
        _draw_graph(right, bag.adjacency.numpy())
    if long:
        draw_timeline(parts[2].add_subplot(), prediction, bag)
    return save(figure, path)


def _face(prediction: ClipPrediction, clip: Clip, frame: int) -> np.ndarray:
    """What the model saw of a frame, about."""
    image = clip.frame(int(frame))
    box = prediction.box_at(int(frame))
    if box is not None:
        image = crop_face(image, square_boxes(box), _SIDE)
    scale = _SIDE / min(image.shape[:2])
    return cv2.resize(
        image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )


def _draw_instances(
    part: Figure,
    images: Sequence[np.ndarray],
    bag: BagPrediction,
    seconds: np.ndarray,
) -> None:
    """A strip of frames for each instance, its weight below."""
    size = len(images) // bag.instances
    weights = bag.instance_weights
    rows = part.subplots(2, bag.instances, squeeze=False, height_ratios=[5, 1])
    for i, (strip, bar) in enumerate(rows.T):
        members = images[i * size : (i + 1) * size]
        columns = int(np.ceil(np.sqrt(size)))
        strip.imshow(_mosaic(members, columns))
        strip.set(xticks=[], yticks=[])
        first, last = bag.frames[i * size], bag.frames[(i + 1) * size - 1]
        strip.set_title(
            f'instance {i + 1}, {seconds[first]:.2f} to {seconds[last]:.2f} s',
            fontsize=9,
        )
        for spine in strip.spines.values():
            spine.set(visible=True, color=FAINT)
        bar.set(xlim=(0, 1), ylim=(-0.5, 0.5), xticks=[], yticks=[])
        for spine in bar.spines.values():
            spine.set_visible(False)
        if weights is None:
            continue
        weight = float(weights[i])
        bar.add_patch(Rectangle((0, -0.3), 1, 0.6, color=FAINT))
        bar.add_patch(Rectangle((0, -0.3), weight, 0.6, color=_ACCENT))
        text = f'weight {100 * weight:.0f} %'
        bar.text(0.5, -0.85, text, ha='center', va='center', fontsize=9)


def _mosaic(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images in rows of ``columns``; white where one is missing."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    page = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        page[top : top + height, left : left + width] = image
    return page


def draw_scores(
    axes: Axes, classes: Sequence[str], scores: np.ndarray
) -> None:
    """Draw a bar for each class, of very many for the highest ones."""
    shown = highest(scores, _MOST)
    names, percent = [classes[k] for k in shown], 100 * scores[shown]
    colors = [mark_of(k)['color'] for k in shown]
    axes.barh(range(len(shown)), percent, color=colors, height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 108), ylim=(len(names) - 0.5, -0.5))
    axes.set(xlabel='score, %')
    axes.grid(axis='x')
    for i, score in enumerate(percent):
        axes.text(score + 1, i, f'{score:.0f}', va='center', fontsize=9)
    axes.set_title('class scores')


def highest(scores: np.ndarray, most: int) -> np.ndarray:
    """Choose at most ``most`` classes to show by their scores (K,).

    All in their order where they fit; else the highest ones, these first.
    """
    if len(scores) <= most:
        return np.arange(len(scores))
    return np.argsort(-scores, kind='stable')[:most]


def _draw_graph(axes: Axes, graph: np.ndarray) -> None:
    """GEIIM's adjacency as a small heat map."""
    size = len(graph)
    largest, form = max(1e-9, graph.max()), '.2f' if size <= 8 else ''
    draw_matrix(axes, graph, range(1, size + 1), largest, form)
    axes.set(xlabel='from instance', ylabel='to instance')
    axes.spines[:].set_visible(False)
    axes.set_title('graph of GEIIM, the same for all clips')


def draw_timeline(
    axes: Axes,
    prediction: ClipPrediction,
    shown: Optional[BagPrediction] = None,
) -> None:
    """Scores over time, at the middle of each window; one may be marked.

    Of very many classes, those with the highest mean scores.
    """
    middles, scores = timeline_of(prediction)
    names = prediction.classes
    classes = highest(prediction.scores, _MOST)
    for k in classes:
        style = dict(mark_of(k), lw=1.8, ms=4)
        axes.plot(middles, 100 * scores[:, k], label=names[k], **style)
    if shown is not None:
        axes.axvspan(shown.start, shown.end, color=FAINT, alpha=0.6, lw=0)
    axes.set(xlim=(0, prediction.seconds), ylim=(0, 100))
    axes.set(xlabel='seconds', ylabel='score, %')
    axes.grid(axis='y')
    columns = -(-len(classes) // _ROWS)
    axes.legend(ncols=columns, loc='center left', bbox_to_anchor=(1, 0.5))
    axes.set_title('timeline; the frames above are from the grey window')


def timeline_of(prediction: ClipPrediction) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the windows in seconds, (W,), and scores, (W, K).

    A window without a face has scores of nan.
    """
    blank = np.full(len(prediction.classes), np.nan)
    scores = [blank if b.scores is None else b.scores for b in prediction.bags]
    middles = [(bag.start + bag.end) / 2 for bag in prediction.bags]
    return np.array(middles), np.array(scores)
