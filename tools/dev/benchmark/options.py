"""What the parts of the benchmark are told."""

from pathlib import Path
from typing import NamedTuple, Optional

#: The configs of the checkout.
CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


class Options(NamedTuple):
    """Settings of one run of the benchmark."""

    #: Fewer sizes and rounds: shows that it works, not how fast it is.
    quick: bool = False
    device: str = 'cpu'
    #: Videos of a batch of the training step; None for 2, on a GPU 32.
    batch_size: Optional[int] = None
    #: Folder for what is drawn and trained; None for a temporary one.
    work_dir: Optional[Path] = None
    #: Of the training on the drawn set.
    epochs: int = 10
    clips: int = 2000

    @property
    def batch(self) -> int:
        """Videos of a batch of the training step."""
        return self.batch_size or (32 if self.on_gpu else 2)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith('cuda')
