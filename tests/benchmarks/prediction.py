"""From image files to ages and genders, against the network alone on pixels that are in memory.

    python tests/benchmarks/prediction.py [--model MODEL] [--data FOLDER] [--num-images 1024]

1.0 would mean that reading and decoding cost nothing. Both use all cores, a batch on each.
Without a model a fresh network of 128 px is timed, without a folder demo faces are drawn.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
from common import compare

from utkface.batches import map_on_cores
from utkface.config import TrainConfig
from utkface.data.demo import write_demo_faces
from utkface.model import TrainedModel, build_model
from utkface.predictor import Predictor, find_images


def main() -> None:
    """Time the whole way from the file and the network alone, in turn, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--num-images", type=int, default=1024)
    options = parser.parse_args()
    if options.model:
        predictor = Predictor.load(options.model, flip=False)
    else:
        config = TrainConfig()
        predictor = Predictor(TrainedModel(build_model(config, "none"), config))
    with tempfile.TemporaryDirectory() as drawn:
        if options.data is None:
            write_demo_faces(Path(drawn))
        found = find_images([options.data or drawn])
        files = list(itertools.islice(itertools.cycle(found), options.num_images))
        side, size = predictor.image_size, predictor.batch_size
        pixels = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
        num_batches = -(-len(files) // size)

        def from_files() -> None:
            for _ in predictor.in_batches(files):
                pass

        def network_alone() -> None:
            for _ in map_on_cores(
                lambda _: predictor.predict_pixels(pixels), range(num_batches), predictor.device
            ):
                pass

        names = ("from image files", "network alone")
        compare(from_files, network_alone, 5, num_images=len(files), names=names)


if __name__ == "__main__":
    main()
