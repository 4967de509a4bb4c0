"""The frozen recipe "synthetic v1" and the checksums of what it draws."""

from __future__ import annotations

from micacl_mm.errors import ConfigError

from .action_units import LEVELS
from .settings import SyntheticSettings

NAME, VERSION = 'synthetic', 1

# Version 1 for ever: what is made better becomes version 2.
RECIPE = dict(
    layout='dfew',
    num_clips=4034,
    seed=0,
    size=64,
    folds=(1,),
    test_per_class=80,
)
BENCHMARK_LEVELS = tuple(LEVELS)
# 'medium' with another seed, hence other persons and clips: choices are made
# on it, figures on the levels. It has no rows on the board.
DEVELOPMENT = 'medium-dev'


def benchmark_settings(level: str) -> SyntheticSettings:
    """Settings of a level of the benchmark.

    Args:
        level (str): One of ``BENCHMARK_LEVELS``, or ``DEVELOPMENT``.

    Returns:
        SyntheticSettings: Everything that decides what the set holds.

    Raises:
        ConfigError: For an unknown level.
    """
    if level == DEVELOPMENT:
        recipe = {**RECIPE, 'seed': 1}
        return SyntheticSettings(difficulty='medium', **recipe)
    if level not in LEVELS:
        raise ConfigError(
            'make_benchmark: levels must be some of '
            f'{", ".join([*LEVELS, DEVELOPMENT])}, got {level!r}'
        )
    return SyntheticSettings(difficulty=level, **RECIPE)


# What drew the reference, and its checksums (digests.py). The labels are the
# same on all three levels; the frames have a checksum for each block of clips.
VERSIONS = {'numpy': '1.26.4', 'cv2': '4.11.0'}
LABELS = dict.fromkeys(
    BENCHMARK_LEVELS,
    '96ec9c3ba28b5ffcc2f120b6d8cff913e28e6a04775499903d56d78a47679c43',
)
LABELS[DEVELOPMENT] = (
    'd4c11ade084275e818bbd145c77c9038cd43d1a0dc8b5f0b327b97433bb3ee49'
)
BLOCKS = {
    'easy': """
        f51380b4 693a204e 7072f59e 9106c84f 457fecfd fe3531a7 fd605d5d
        75ceee58 3ba6f729 32366463 cfcd6eb8 51472b87 69313993 473f29fd
        2b9c6cb5 355205a1 cf76c39b 7c8ef6b3 26611c0f 740d72b9 1994c399
        55922493 ead1dcaf c3a11e46 92a6c77e ae895e3b 929df511 1fe74f49
        b4d7caac 65ec334c b08c34e0 75560ab5 f0439cac 6955b409 587bf4a3
        968bc6e0 dfb88be0 00b1ce15 645fa996 b0d22138 8004e365 631ee6ca
        a3e1c8f0
    """,
    'medium': """
        0d914120 0374db7f 22e3769c 7dfc6bf7 1ce98c76 e02a9ac4 0d9c2316
        e1b1fe10 7f127a85 76cced5b 8819e010 4567dcff 9ff02034 4d642f63
        dc0fe48e 34af317c 2106836d c94d3b16 d278df6f 3deba81e 327c5165
        9be35a6a 7b0aeffe d582d1f5 e42e164f 146552a6 18b7f938 6582ae22
        8b904f19 6c49c861 a8e5c392 71e16687 bb578e5d 44c0a5cb 8fd34181
        ef5ff601 d38a004e 56a9cdc0 b48c4fff 11d9543b 50b73370 b5b74326
        e98c5d12
    """,
    'hard': """
        693d592f e3d7601c cc9dbdbb bcfd7bfb 6a414a1d 8fe2adde 5caabb72
        686ea7fd bacfa69d c8dd4a96 e0078ada 2eb19928 bb432a8e e980ed34
        1558fbe6 bc5e42f9 96bad225 b101bd84 06815977 0f3fe3e5 ff47ce98
        660708a0 8a027ebc 5632ce3e 7772ba46 9e2ed91b 95690b6b b33ed49b
        24da7e70 58914ced 6bf2e6e5 19f0913d 91e71ae7 4e531bff 693462e0
        5385f63a e877a68d f6f0c63c 8c42bff0 074256fe 9e6ba040 0bad635b
        cf7a0773
    """,
    'medium-dev': """
        102e1464 cf009cd6 e15e0e99 8f890e4f a52f8d32 925a3ea3 6dbbf6a4
        49beac1c 4be09c0c afdcffc5 4121aa5c 192dc8f6 f775d50b a07cbd7b
        41a8d2e4 91dff2f4 6ff453f9 2581817e 085819ef 680fe0a5 02098069
        416a8de8 402eeb2f 1b56681d bf4b6039 ff49afae 592745a0 1a0edcc1
        5768a9e5 be4915fe 8fda743c 631a9670 50f599bd b92adef9 9654ba81
        5ac46c69 dbd7a2c0 fc1363e9 79512fb1 46a0680a 57ec3328 4bb57689
        99519f62
    """,
}
