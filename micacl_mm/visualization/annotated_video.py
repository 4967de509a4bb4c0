"""A clip with its prediction drawn on: face box, class bars, timeline."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from micacl_mm.apis.clips import Clip
from micacl_mm.apis.predictions import ClipPrediction
from micacl_mm.utils.video import write_video

from .clip_picture import highest, timeline_of
from .fonts import font_for
from .plots import mark_of

_HEIGHTS = (360, 720)  # of the drawn frame, in pixels
_WIDEST = 1280
_PANEL, _STRIP = 240, 84
_PITCH = (22, 40)  # from bar to bar
_PAPER, _INK, _FAINT = (255, 255, 255), (34, 34, 34), (228, 228, 228)
_GREY = (110, 110, 110)


def annotate_video(
    predictions: Sequence[ClipPrediction], clip: Clip, path: Path
) -> Path:
    """Write a clip with what was predicted of it.

    Boxes mark the faces, with their number, class and score; the bars are
    the scores of the first face, and the strip below its timeline, in which
    a line moves. Between the middles of two windows the scores are
    interpolated.

    Args:
        predictions (Sequence[ClipPrediction]): One clip's, one a face.
        clip (Clip): Its frames.
        path (Path): mp4 to write.

    Returns:
        Path: The written file.
    """
    return write_video(_pages(predictions, clip), path, clip.fps)


def scores_over_time(
    prediction: ClipPrediction, seconds: np.ndarray
) -> np.ndarray:
    """Scores at times (T,): (T, K); nan where no face was seen.

    Linear between the middles of windows, constant before the first and
    after the last.
    """
    middles, scores = timeline_of(prediction)
    columns = [np.interp(seconds, middles, column) for column in scores.T]
    return np.stack(columns, axis=1)


def _pages(
    predictions: Sequence[ClipPrediction], clip: Clip
) -> Iterator[np.ndarray]:
    """The drawn frames."""
    scores = [scores_over_time(p, clip.seconds) for p in predictions]
    nowhere = np.full((len(clip), 4), np.nan)
    boxes = [
        nowhere if p.track is None else p.track.boxes_at(range(len(clip)))[0]
        for p in predictions
    ]
    main = predictions[0]
    height, width = clip.frame(0).shape[:2]
    scale = np.clip(1, _HEIGHTS[0] / height, _HEIGHTS[1] / height)
    scale = min(scale, _WIDEST / width)
    width, height = (2 * int(side * scale / 2) for side in (width, height))
    height, width = max(height, _HEIGHTS[0]), max(width, 2)
    strip = _strip(main, width + _PANEL)
    page = np.empty((height + _STRIP, width + _PANEL, 3), np.uint8)
    for index in range(len(clip)):
        image = clip.frame(index)
        page[:] = _PAPER[0]
        shown = _fit(image, width, height)
        page[: shown.shape[0], : shown.shape[1]] = shown
        page[height:] = strip
        canvas = Image.fromarray(page)
        draw = ImageDraw.Draw(canvas)
        factor = shown.shape[0] / image.shape[0]
        for k, prediction in enumerate(predictions):
            box = boxes[k][index] * factor
            draw_box(draw, prediction, box, scores[k][index], shown.shape)
        draw_bars(draw, main, scores[0][index], width)
        done = clip.seconds[index] / clip.duration
        x = done * (width + _PANEL - 1)
        draw.line([(x, height), (x, height + _STRIP)], fill=_INK, width=2)
        yield np.asarray(canvas)


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = min(width / image.shape[1], height / image.shape[0])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=way)


@lru_cache
def _font(size: int, text: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_for(text), size)


def _rgb(index: int) -> tuple[int, ...]:
    text = mark_of(index)['color'].lstrip('#')
    return tuple(bytes.fromhex(text))


def _title(prediction: ClipPrediction) -> str:
    return '' if prediction.face is None else f'face {prediction.face}'


def draw_box(
    draw: ImageDraw.ImageDraw,
    prediction: ClipPrediction,
    box: np.ndarray,
    scores: np.ndarray,
    shape: Sequence[int],
) -> None:
    """Draw a face's box with its number and class, where the face is seen.

    ``box``, in pixels, and ``scores`` (K,) are nan where unknown; the label
    stays within ``shape``, height and width.
    """
    if np.isnan(box).any():
        return
    left, top, right, bottom = map(float, box)
    known = not np.isnan(scores).any()
    label = int(scores.argmax()) if known else 0
    color = _rgb(label) if known else (140, 140, 140)
    draw.rectangle([left, top, right, bottom], outline=color, width=3)
    words = [_title(prediction)]
    if known:
        name = prediction.classes[label]
        words.append(f'{name} {100 * scores[label]:.0f} %')
    text = ': '.join(filter(None, words))
    font = _font(15, text)
    area = draw.textbbox((0, 0), text, font=font)
    spot = [
        max(4, min(left + 4, shape[1] - area[2] - 5)),
        max(0, min(top - 22, shape[0] - area[3] - 4)),
    ]
    area = draw.textbbox(spot, text, font=font)
    draw.rectangle(
        [area[0] - 4, area[1] - 3, area[2] + 4, area[3] + 3], fill=color
    )
    draw.text(spot, text, font=font, fill=_PAPER)


def draw_bars(
    draw: ImageDraw.ImageDraw,
    prediction: ClipPrediction,
    scores: np.ndarray,
    left: int,
) -> None:
    """Draw a bar a class beside a frame that ends at ``left``, in pixels.

    Of very many classes those with the highest scores of the clip. ``scores``
    (K,) are nan where no face was seen.
    """
    classes, title = prediction.classes, _title(prediction)
    x, top = left + 14, 12
    if title:
        draw.text((x, top - 4), title, font=_font(14, title), fill=_INK)
        top += _PITCH[0]
    room = _HEIGHTS[0] - 12 - top
    shown = [int(k) for k in highest(prediction.scores, room // _PITCH[0])]
    known = not np.isnan(scores).any()
    best = int(scores.argmax()) if known else None
    pitch = int(np.clip(room // len(shown), *_PITCH))
    size = max(8, min(14, pitch - 18))
    length = _PANEL - 28
    for line, k in enumerate(shown):
        text = (
            f'{classes[k]}  {100 * scores[k]:.0f} %' if known else classes[k]
        )
        ink = _INK if k == best else _GREY
        font = _font(size, classes[k])
        draw.text((x, top + line * pitch), text, font=font, fill=ink)
        bar = top + line * pitch + size + 5
        draw.rectangle([x, bar, x + length, bar + 8], fill=_FAINT)
        if known:
            end = x + scores[k] * length
            draw.rectangle([x, bar, end, bar + 8], fill=_rgb(k))


def _strip(prediction: ClipPrediction, width: int) -> np.ndarray:
    """The timeline as stacked areas, (strip, width, 3)."""
    times = (np.arange(width) + 0.5) / width * prediction.seconds
    edges = scores_over_time(prediction, times).cumsum(axis=1)  # (width, K)
    heights = (np.arange(_STRIP) + 0.5)[::-1] / (_STRIP - 8)
    # Class at each pixel: how many edges lie below it.
    classes = (heights[:, None, None] > edges[None]).sum(-1)  # (strip, width)
    colors = [_rgb(i) for i in range(len(prediction.classes))] + [_PAPER]
    strip = np.array(colors, np.uint8)[classes]
    strip[:, np.isnan(edges).any(axis=1)] = _FAINT
    return strip
