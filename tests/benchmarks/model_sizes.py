"""How large networks are, and how fast they predict here: ours beside those of the published rows.

    python tests/benchmarks/model_sizes.py [--image-size 128] [--backbones NAME ...] [--write]

Parameters (with both heads), multiply-adds of one image, the size of ``model.pt``, and images per
second as `utkface.predict` runs them, all cores, each as a share of ours as well: the networks take
turns, so a busy machine slows all alike. ``--write`` keeps the table as ``results/model_sizes.md``.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import time_s
from torch.utils.flop_counter import FlopCounterMode

from utkface.config import TrainConfig
from utkface.io import replacing, run_command
from utkface.model import TrainedModel, build_model, save_model
from utkface.predictor import Predictor

OURS = "mobilenet_v3_small"
BACKBONES = (OURS, "vgg16", "resnet50", "timm:legacy_seresnet50")
ROUNDS = 5
BATCH = 64
RESULT = Path(__file__).parents[2] / "results" / "model_sizes.md"


class Network:
    """A network with fresh weights, its measures and its times."""

    def __init__(self, backbone: str, image_size: int) -> None:
        config = TrainConfig(backbone=backbone, image_size=image_size, pretrained=False)
        trained = TrainedModel(build_model(config).eval(), config)
        self.backbone = backbone
        self.num_parameters = sum(p.numel() for p in trained.model.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            trained.model(torch.zeros(1, 3, image_size, image_size))
        self.num_multiply_adds = counter.get_total_flops() / 2
        with tempfile.TemporaryDirectory() as folder:
            save_model(Path(folder) / "model.pt", trained)
            self.num_bytes = (Path(folder) / "model.pt").stat().st_size
        self.predictor = Predictor(trained)
        shape = (BATCH, image_size, image_size, 3)
        self.pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        self.times: list[float] = []

    def predict(self) -> None:
        """Predict one batch."""
        self.predictor.predict_pixels(self.pixels)


def describe(networks: list[Network], image_size: int) -> str:
    """Return the table as Markdown."""
    lines = [
        f"# Size and speed of networks, {image_size} px\n",
        f"Made by `python tests/benchmarks/model_sizes.py --image-size {image_size} --write` on "
        f"{torch.get_num_threads()} CPU cores; medians of {ROUNDS} batches of {BATCH}.\n",
        "| network | parameters, 10⁶ | multiply-adds, 10⁶ | file, MB | images/s | of ours |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = networks[0]
    for network in networks:
        rate = BATCH / statistics.median(network.times)
        share = statistics.median(a / b for a, b in zip(ours.times, network.times, strict=True))
        lines.append(
            f"| {network.backbone} | {network.num_parameters / 1e6:.2f} | "
            f"{network.num_multiply_adds / 1e6:.0f} | {network.num_bytes / 1e6:.1f} | "
            f"{rate:,.0f} | {share:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--write", action="store_true", help=f"into {RESULT.name}")
    given = parser.parse_args()
    networks = [Network(backbone, given.image_size) for backbone in given.backbones]
    for network in networks:
        network.predict()
    for _ in range(ROUNDS):
        for network in networks:
            network.times.append(time_s(network.predict))
    text = describe(networks, given.image_size)
    print(text)
    if given.write:
        with replacing(RESULT) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
