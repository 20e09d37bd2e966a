"""The notebook that bench grew out of: its three models on MNIST, what it said of them, and what its figures allow.

It trained with batches of 128 and RMSprop at Keras's defaults on pixels / 255, picked the number of epochs from the
curve of the test set, trained again for that long, and printed one test accuracy a model. Those accuracies are the only
figures taken from it; all else is computed from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.errors import UsageError
from bench.family import Family
from bench.space import Value

TEST_IMAGES = 10_000  # of MNIST
LEAST_SEEDS = 3  # two can agree by chance, and one says nothing of spread
Z95 = 1.959963984540054

TRAINED: dict[str, Value] = {
    "batch_norm": False,
    "batch_size": 128,
    "optimizer": "rmsprop",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "cooldown": 0.0,
}


@dataclass(frozen=True)
class Model:
    """One of the notebook's models.

    Attributes:
        family: the family whose reference configuration it is.
        about: its layers.
        config: that configuration.
        parameters: as the notebook counts them, on images of 28 x 28.
        test_accuracy: as the notebook printed it, of one run.
    """

    family: str
    about: str
    config: Mapping[str, Value]
    parameters: int
    test_accuracy: float

    @property
    def epochs(self) -> int:
        return int(self.config["epochs"])

    @property
    def errors(self) -> int:
        """Wrong test images."""
        return round((1 - self.test_accuracy) * TEST_IMAGES)


MODELS = (
    Model("mlp", "dense 512", {**TRAINED, "depth": 1, "width": 512, "epochs": 15}, 407_050, 0.9811),
    Model(
        "mlp_dropout",
        "dense 512, dropout 0.5",
        {**TRAINED, "depth": 1, "width": 512, "dropout": 0.5, "input_dropout": 0.0, "epochs": 44},
        407_050,
        0.9839,
    ),
    Model(
        "cnn",
        "3 convolutions with max pooling, dense 512",
        {
            **TRAINED, "blocks": 3, "filters": 32, "deep_filters": 64, "kernel": 3, "dense": 512, "dropout": 0.0,
            "epochs": 5,
        },
        356_298,
        0.9917,
    ),
)  # fmt: skip
PAIRS = (("cnn", "mlp"), ("cnn", "mlp_dropout"), ("mlp_dropout", "mlp"))  # errors of the first against the second


def model_of(family: str) -> Model:
    return next(model for model in MODELS if model.family == family)


def check_reference(model: Model, family: Family) -> None:
    """Refuse a family of the same name that is another one, such as one in ./search_spaces.

    Raises:
        UsageError: its reference is not the notebook's model.
    """
    reference = family.reference or {}
    for name in [*model.config, *reference]:
        if reference.get(name) != model.config.get(name):
            raise UsageError(
                f"The reference of {family.source} must be the notebook's model, but its {name} is "
                f"{reference.get(name)!r}, not {model.config.get(name)!r}. Run this where no "
                f"search_spaces/{model.family}.py of your own comes first."
            )


def katz(errors_a: int, errors_b: int, images: int) -> tuple[float, tuple[float, float]]:
    """Error reduction 1 - E_a / E_b of two single runs, with its 95 % interval.

    The log interval of a ratio of two independent proportions, Katz et al. 1978. Two runs on the same images are not
    independent, and mostly err together, so that it is rather too wide; without their predictions there is no better.

    Args:
        errors_a, errors_b: wrong images, at least 1.
    """
    ratio = math.log(errors_a / errors_b)
    half = Z95 * math.sqrt(1 / errors_a + 1 / errors_b - 2 / images)
    return 1 - math.exp(ratio), (1 - math.exp(ratio + half), 1 - math.exp(ratio - half))


def one_more_run(seed_accuracies: Sequence[float]) -> tuple[float, float] | None:
    """Where one more run on the same test images would lie, at 95 %; None with fewer seeds than show how runs differ.

    The prediction interval of a normal observation, mean ± t(S - 1) s sqrt(1 + 1 / S). The notebook's figure is of a
    run on the very same test images, so that seeds alone part it from ours, and the images do not.
    """
    seeds = len(seed_accuracies)
    if seeds < LEAST_SEEDS:
        return None
    from scipy import stats

    mean = sum(seed_accuracies) / seeds
    spread = math.sqrt(sum((accuracy - mean) ** 2 for accuracy in seed_accuracies) / (seeds - 1))
    half = float(stats.t.ppf(0.975, seeds - 1)) * spread * math.sqrt(1 + 1 / seeds)
    return max(0.0, mean - half), min(1.0, mean + half)


def place(value: float, bounds: tuple[float, float]) -> str:
    """'below', 'inside' or 'above'."""
    return "below" if value < bounds[0] else "above" if value > bounds[1] else "inside"
