"""Kills at random moments."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Optional

from micacl_mm.hooks.checkpoint_files import is_whole

from .comparison import differences
from .training import (
    EPOCHS,
    PAUSE,
    PIECES,
    STALE,
    draw_set,
    leave_stale,
    start,
    write_config,
)


class Outcome(NamedTuple):
    """What a series of kills came to."""

    kills: int
    #: Of them, while a checkpoint was being written.
    writing: int
    #: Kills after which training and results were as if nothing had been.
    survived: int
    #: Trainings that came to their end.
    trainings: int
    #: What differed, a sentence each.
    differences: list[str]

    def __str__(self) -> str:
        words = '; '.join(sorted(set(self.differences)))
        return (
            f'kills survived: {self.survived} of {self.kills}, '
            f'{self.writing} of them while a checkpoint was written, '
            f'{self.trainings} trainings finished; '
            + (words or 'weights bit-equal, metrics equal')
        )


def torture(
    kills: int, seed: int, place: Path, base: Path, stock: bool = False
) -> Outcome:
    """Train undisturbed, then kill and resume until there are enough kills.

    Every second training starts in a folder in which a later checkpoint of
    another one lies.

    Args:
        kills (int): How many.
        seed (int): Of the moments.
        place (Path): An empty folder.
        base (Path): The config micacl_folder.py.
        stock (bool): Without our hooks. Defaults to False.
    """
    draw_set(place / 'data')
    os.environ['MICACL_DATA_ROOT'] = str(place / 'data')
    config, marker = write_config(place, base, stock), place / 'writing'
    began = time.monotonic()
    code = ended(start(config, place / 'whole', marker, False), lambda: False)
    seconds = time.monotonic() - began
    if code:
        raise RuntimeError((place / 'config.log').read_text()[-3000:])
    draw, folder = random.Random(seed), place / 'killed'
    count, bad = Counter(), []
    while count['kills'] < kills or count['open']:
        if not folder.exists() and count['trainings'] % 2 == 0:
            leave_stale(folder, place / 'whole' / f'epoch_{EPOCHS}.pth')
        own = {path.name for path in folder.glob('epoch_*.pth')} - {STALE}
        child = start(config, folder, marker, resume=bool(own))
        if count['kills'] < kills:
            code, writing = kill_once(child, marker, draw, seconds)
            if code is None:
                count.update(kills=1, open=1, writing=int(writing))
                if not stock and not all(map(is_whole, folder.glob('*.pth'))):
                    bad.append('a half checkpoint')
                continue
        else:
            code = ended(child, lambda: False)
        (folder / STALE).unlink(missing_ok=True)
        found = ['the resumed training fails'] if code else []
        found = found or differences(folder, place / 'whole')
        count.update(trainings=1, survived=0 if found else count['open'])
        bad += found
        count['open'] = 0
        shutil.rmtree(folder)
    names = ('kills', 'writing', 'survived', 'trainings')
    return Outcome(*(count[name] for name in names), bad)


def ended(child: int, until: Callable[[], bool]) -> Optional[int]:
    """Wait for the end of a process, or for something else.

    Returns:
        int | None: its exit code; None if the other came first.
    """
    while not until():
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def kill_once(
    child: int, marker: Path, draw: random.Random, seconds: float
) -> tuple[Optional[int], bool]:
    """Kill a training at a random moment.

    Returns:
        tuple[int | None, bool]: its exit code if it ended before, and
        whether it was writing a checkpoint.
    """
    wait = draw.uniform(0, seconds)
    if draw.random() < 0.5:  # somewhere in the first, second or third file
        for _ in range(draw.randint(1, 3)):
            code = ended(child, lambda: not marker.exists())
            if code is None:
                code = ended(child, marker.exists)
            if code is not None:
                return code, False
        wait = draw.uniform(0, 0.7 * PIECES * PAUSE)
    deadline = time.monotonic() + wait
    code = ended(child, lambda: time.monotonic() > deadline)
    if code is not None:
        return code, False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    writing = marker.exists()
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # its workers, as at a power cut
    marker.unlink(missing_ok=True)
    return None, writing
