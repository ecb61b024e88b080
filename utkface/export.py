"""``python -m utkface.export MODEL OUT.onnx``: a trained model as an ONNX file, checked.

The file answers for pixels as they come out of any decoder:

- input ``pixels`` (N, S, S, 3) uint8 RGB, N free, S the image size of the training (in the shape);
- outputs ``age_years`` (N,) float32, 0 to 116, and ``female_probability`` (N,) float32.

Normalisation is inside, and the mean over mirror images where the model was evaluated with it
(``--no-flip`` leaves it out: half the time). The metadata has what the shapes do not say:
``image_size``, ``interval`` (JSON, of `utkface.intervals`) and ``about`` (JSON: where the model
comes from, and ``flip``).
"""

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from utkface.io import UserError, replacing, run_command
from utkface.model import PixelModel, TrainedModel, load_model

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
_INPUT = "pixels"
_OUTPUTS = ("age_years", "female_probability")


class MaxError(NamedTuple):
    """The largest absolute differences between two runtimes' answers."""

    age_years: float
    female_probability: float


#: Float32 sums in another order differ by 1e-4 years or so; more is another network.
TOLERANCE = MaxError(0.01, 0.001)


def main(arguments: list[str] | None = None) -> None:
    """Export a trained model to ONNX and check that ONNX Runtime gives the same answers."""
    parser = argparse.ArgumentParser(prog="python -m utkface.export", description=main.__doc__)
    parser.add_argument("model", type=Path, help="model file that tune/retrain_best.py wrote")
    parser.add_argument("output", type=Path, help="the .onnx file to write")
    parser.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="average over each face and its mirror image (default: as the model was evaluated)",
    )
    options = parser.parse_args(arguments)
    _require_libraries()
    trained = load_model(options.model)
    if options.flip is not None:
        trained = replace(trained, about={**trained.about, "flip": options.flip})
    difference = export_onnx(trained, options.output)
    size = trained.config.image_size
    if trained.warning:
        print(f"{options.model}: {trained.warning}", file=sys.stderr)
    print(
        f"{options.output}: {_INPUT} (N, {size}, {size}, 3) uint8 RGB -> {', '.join(_OUTPUTS)}\n"
        f"largest difference from PyTorch: {difference.age_years:.1e} years, "
        f"{difference.female_probability:.1e} in probability"
    )


def export_onnx(trained: TrainedModel, path: Path) -> MaxError:
    """Write a model to an ONNX file and return how far its answers are from PyTorch's.

    The file appears only once its answers agree within `TOLERANCE`. Raises `UserError` where they
    do not, where a library is missing, and where the file cannot be written.
    """
    _require_libraries()
    model = PixelModel(trained.model, flip=trained.flip)
    size = trained.config.image_size
    with replacing(path) as temporary:
        _convert(model, size, trained, temporary)
        difference = _compare(model, size, temporary)
        # Not "any(a > b)": a difference that is not a number must be refused too.
        if not all(is_ <= may_be for is_, may_be in zip(difference, TOLERANCE, strict=True)):
            raise UserError(
                f"ONNX Runtime and PyTorch differ by {difference.age_years:g} years and "
                f"{difference.female_probability:g} in probability, allowed: "
                f"{TOLERANCE.age_years:g} and {TOLERANCE.female_probability:g}; {path} is not "
                "written; try other versions of torch and onnxruntime"
            )
    return difference


def _require_libraries() -> None:
    """Refuse to begin without the libraries that only this command needs."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"exporting to ONNX needs {', '.join(missing)}, which is not installed; "
            f"run: pip install {' '.join(LIBRARIES)}"
        )


def _convert(model: PixelModel, size: int, trained: TrainedModel, path: Path) -> None:
    """Write the ONNX file, with whatever number of faces as its first dimension."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    # Constants that functions keep are made before tracing: otherwise tracing's stand-ins for
    # tensors would be kept, and every later prediction of this process would be wrong.
    model.predict(example)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[_INPUT],
        output_names=list(_OUTPUTS),
        dynamic_shapes={_INPUT: {0: torch.export.Dim("num_faces")}},
        verbose=False,
    )
    assert program is not None, "the exporter of torch.export gives a program"
    program.model.metadata_props.update(
        image_size=str(size),
        interval=json.dumps(trained.interval and asdict(trained.interval)),
        about=json.dumps(trained.about, default=str),
    )
    program.save(path, external_data=False)


def _compare(model: PixelModel, size: int, path: Path) -> MaxError:
    """Run the file and the model on the same pixels and return the largest differences."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = np.zeros(len(_OUTPUTS))
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (num, size, size, 3), np.uint8) for num in (1, 2, 7)]
    for pixels in [*batches, _edge_cases(size)]:
        expected = model.predict(torch.from_numpy(pixels))
        for i, answer in enumerate(session.run(_OUTPUTS, {_INPUT: pixels})):
            assert answer.shape == (len(pixels),), answer.shape
            # np.maximum, unlike max(), keeps what is not a number
            largest[i] = np.maximum(largest[i], abs(answer - expected[i].numpy()).max())
    return MaxError(*largest.tolist())


def _edge_cases(size: int) -> NDArray[np.uint8]:
    """Return black, white, each pure colour, a gradient and the finest chequerboard."""
    rows, columns = np.indices((size, size, 1))[:2]
    colours = [np.array(0), np.array(255), *(255 * np.eye(3))]
    greys = [255 * columns // (size - 1), 255 * ((rows + columns) % 2)]
    shape = (size, size, 3)
    return np.stack([np.broadcast_to(case, shape).astype(np.uint8) for case in colours + greys])


if __name__ == "__main__":
    run_command(main)
