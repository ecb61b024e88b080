"""Where on a face a model reads age and gender: LIME on a fixed grid, one run for both heads.

LIME (Ribeiro et al. 2016, https://arxiv.org/abs/1602.04938) hides random sets of superpixels, asks
the model about every version of the face, and fits a linear model in "superpixel shown", close
versions counting most. Kernel and fit are the `lime` package's; its loop over the versions is not
used, as it builds them one by one and keeps one label's score only.

Superpixels are a 9 x 9 grid, the same on every face: the faces are aligned, so maps can be
averaged, and rows and columns of ninths fall on eyes, nose and mouth. A hidden superpixel becomes
its own mean colour, which stays closest to the faces that the network knows: the linear fit of the
age then had a mean R² of 0.68, with a blurred face behind 0.51, with one colour for the face 0.45.
So a weight is what the detail inside a cell does (wrinkles, eyes, lips, the edge of the hair); the
colour of whole areas, grey hair say, is never hidden and cannot show.
"""

import copy
import importlib.metadata
import inspect
import sys
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray

from utkface import model as network
from utkface.batches import map_on_cores
from utkface.evaluation.cache import Arrays, cached, content_digest
from utkface.evaluation.records import RegionWeight
from utkface.io import UserError, progress_bar
from utkface.model import PixelModel, TrainedModel, prediction_batch_size
from utkface.predictor import find_device

GRID = 9  # superpixels along a side; odd, so that the nose has a column of its own
NUM_SUPERPIXELS = GRID * GRID
_CODE = inspect.getsource(sys.modules[__name__])  # a change of it makes the cache another one
HEADS = ("age", "gender")  # columns of the model's answers: years, probability of being female
_UNITS = ("age_years", "gender_probability")  # what `RegionWeight` calls sums of their weights

#: The superpixels of UTKFace's aligned crop, named by looking at the mean of 3,000 faces: brows
#: at 0.2 of the height, eyes at 0.28, nostrils at 0.56, lips from 0.67 to 0.8.
_LAYOUT = """
    ..FFFFF..
    .FFFFFFF.
    .EEEEEEE.
    .CCCNCCC.
    .CCNNNCC.
    .CCMMMCC.
    .CMMMMMC.
    ..MMMMM..
    ...MMM...
"""
REGIONS = {
    "forehead and brows": "F", "eyes": "E", "cheeks": "C", "nose": "N", "mouth and chin": "M",
    "hair and background": ".",
}  # fmt: skip
_LETTERS = np.array([list(row) for row in _LAYOUT.split()])  # (GRID, GRID)


@dataclass(frozen=True)
class Explanations:
    """What each superpixel contributes to both predictions, face by face.

    A weight is what showing a superpixel rather than its mean colour adds to the prediction; it
    stands at each pixel of the superpixel. The R² tells how much of what the model answers about
    versions of the face the weights account for: below a half, read a map with caution.
    """

    maps: NDArray[np.float32]  # (n, 2, S, S) of `HEADS`, in their units
    r2: NDArray[np.float64]  # (n, 2)

    def take(self, positions: np.ndarray) -> "Explanations":
        """Return those of some of the faces."""
        return Explanations(self.maps[positions], self.r2[positions])


def explain_faces(
    trained: TrainedModel,
    images: np.ndarray,
    *,
    num_samples: int = 500,
    seed: int = 0,
) -> Explanations:
    """Explain what the model says of each face, showing a progress bar; on a GPU if there is one.

    images: (n, S, S, 3) uint8 RGB; num_samples: versions of each face that the model is asked
    about. A face's maps depend on it, the model, num_samples and seed, not on the other faces.
    Kept in the cache: the same model is not asked about the same faces twice.
    Raises `UserError` when there are fewer samples than superpixels.
    """
    if num_samples <= NUM_SUPERPIXELS:
        raise UserError(
            f"num_samples={num_samples} is too few to tell {NUM_SUPERPIXELS} superpixels apart; "
            f"allowed: more than {NUM_SUPERPIXELS}, 500 is usual"
        )
    device = find_device("auto")
    texts = [_CODE, inspect.getsource(network), importlib.metadata.version("lime")]
    facts = (torch.__version__, device, num_samples, seed)
    texts += map(str, (*facts, trained.flip, trained.config, trained.model))
    tensors = [tensor.cpu().numpy() for tensor in trained.model.state_dict().values()]
    key = content_digest(*texts, images, *tensors)

    def explain() -> Arrays:
        model = PixelModel(copy.deepcopy(trained.model), flip=trained.flip).to(device)

        def explain_face(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            shown = draw_shown(image, num_samples, seed)
            return _fit(shown, _answers(model, image, shown, device))

        found = []
        with progress_bar("Explaining faces", len(images)) as advance:
            for of_face in map_on_cores(explain_face, images, device):
                found.append(of_face)
                advance(1)
        weights, r2 = zip(*found, strict=True)
        return {"weights": np.stack(weights), "r2": np.stack(r2)}

    explained = cached("lime", key, explain)
    return Explanations(explained["weights"][:, :, superpixels(images.shape[1])], explained["r2"])


def superpixels(image_size: int) -> NDArray[np.int64]:
    """Return the number of the superpixel, by rows from the top left, of each pixel (S, S)."""
    ninth = np.arange(image_size) * GRID // image_size
    return ninth[:, None] * GRID + ninth


def draw_shown(image: np.ndarray, num_samples: int, seed: int) -> NDArray[np.bool_]:
    """Return which superpixels each version of a face shows, (num_samples, NUM_SUPERPIXELS).

    The first shows all, as LIME wants it. Drawn anew for each face, as what chance does to one
    set of draws would not average out over the faces.
    """
    rng = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
    shown = rng.integers(0, 2, (num_samples, NUM_SUPERPIXELS)).astype(bool)
    shown[0] = True
    return shown


def hide_all(image: np.ndarray) -> np.ndarray:
    """Return a face (S, S, 3) with the mean colour of each superpixel in its place, uint8."""
    cells = superpixels(len(image))
    sums = [np.bincount(cells.ravel(), channel.ravel()) for channel in np.moveaxis(image, -1, 0)]
    means = np.stack(sums, axis=1) / np.bincount(cells.ravel())[:, None]
    return means.astype(np.uint8)[cells]  # cut to whole numbers, as LIME does


def region_of_pixels(image_size: int) -> NDArray[np.int64]:
    """Return the position in `REGIONS` of the region of each pixel, (S, S)."""
    positions = np.vectorize(list(REGIONS.values()).index)(_LETTERS)
    return positions.ravel()[superpixels(image_size)]


def region_table(explanations: Explanations) -> list[RegionWeight]:
    """Return what each region contributes on average over the faces.

    area_share is the region's part of the crop: one that matters more than its size has a larger
    share of the absolute weight, age_share and gender_share. age_years and gender_probability are
    the mean sums of its signed weights. The shares of all regions sum to one. The ranges hold the
    shares of 80 of 100 faces, each face's own.
    """
    image_size = explanations.maps.shape[-1]
    region, cells = region_of_pixels(image_size).ravel(), superpixels(image_size).ravel()
    area = 1 / np.bincount(cells)[cells]  # of a pixel, in superpixels: their pixels differ

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(region, values.ravel() * area)

    def shares(values: np.ndarray) -> np.ndarray:
        # Where a model looks at nothing there is nothing to share.
        return sums(values) / (sums(values).sum() or np.nan)

    columns: dict[str, Any] = {"area_share": shares(np.ones((image_size, image_size)))}
    for head, unit, maps in zip(HEADS, _UNITS, explanations.maps.swapaxes(0, 1), strict=True):
        # Where a region raises some faces' prediction and lowers others', only the size shows it.
        columns[f"{head}_share"] = shares(np.abs(maps).mean(axis=0))
        columns[unit] = sums(maps.mean(axis=0))
        of_faces = [shares(np.abs(of_face)) for of_face in maps]
        columns[f"{head}_range"] = np.quantile(of_faces, (0.1, 0.9), axis=0).T
    table = []
    for row, name in enumerate(REGIONS):
        values = {key: column[row] for key, column in columns.items()}
        known = {key: v.tolist() if np.isfinite(v).all() else None for key, v in values.items()}
        table.append(RegionWeight(region=name, **known))
    return table


def _answers(
    model: PixelModel, image: np.ndarray, shown: NDArray[np.bool_], device: torch.device
) -> NDArray[np.float32]:
    """Return age in years and probability of being female of each version of a face, (B, 2)."""
    cells = torch.from_numpy(superpixels(len(image))).to(device)
    # Copies, for the rows of a memory map are read-only.
    whole, hidden = (torch.from_numpy(np.array(p)).to(device) for p in (image, hide_all(image)))
    parts = []
    size = prediction_batch_size(len(image), device)
    for batch in torch.from_numpy(shown).to(device).split(size):
        versions = torch.where(batch[:, cells, None], whole, hidden)  # (B, S, S, 3) uint8
        parts.append(torch.stack(model.predict(versions), dim=1))
    return torch.cat(parts).cpu().numpy()


def _fit(
    shown: NDArray[np.bool_], answers: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return LIME's weights (2, NUM_SUPERPIXELS) and R² (2,) of the columns of the answers.

    LIME speaks of labels and probabilities, yet fits each column by ridge regression: a column in
    years gets weights in years.
    """
    regression = LimeImageExplainer(random_state=0).base
    distances = 1 - np.sqrt(shown.mean(axis=1))  # cosine distance to the whole face
    weights = np.zeros((len(HEADS), NUM_SUPERPIXELS), dtype=np.float32)
    r2 = np.zeros(len(HEADS))
    for column in range(len(HEADS)):
        _, contributions, r2[column], _ = regression.explain_instance_with_data(
            shown.astype(float), answers, distances, column, NUM_SUPERPIXELS,
            feature_selection="none",
        )  # fmt: skip
        for superpixel, weight in contributions:
            weights[column, superpixel] = weight
    return weights, r2
