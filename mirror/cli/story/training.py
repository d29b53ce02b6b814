"""The training half of the demo: small real models on scikit-learn's handwritten digits, logged with the real SDK.

Run in a process of its own (`python -m mirror.cli.story.training`), with `WANDB_BASE_URL` and the like in its
environment, exactly as a user's script would be.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from numpy.typing import NDArray
from sklearn.datasets import load_digits

PROJECT = "digits"
EPOCHS = 12
BATCH = 32

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one model is trained with."""

    name: str
    hidden: int  # units of the hidden layer; 0: softmax regression
    learning_rate: float
    weight_decay: float = 1e-4
    seed: int = 0


# The last one learns far too fast, overflows and loses its footing: a real run that ends in NaN.
RECIPES = (
    Recipe(name="softmax-slow", hidden=0, learning_rate=0.01),
    Recipe(name="softmax", hidden=0, learning_rate=0.1),
    Recipe(name="mlp-16", hidden=16, learning_rate=0.1),
    Recipe(name="mlp-64", hidden=64, learning_rate=0.1, seed=1),
    Recipe(name="mlp-64-too-fast", hidden=64, learning_rate=1e5, seed=2),
)


def train(recipe: Recipe, entity: str) -> None:
    """Train one model, log every epoch, and save the weights."""
    digits = load_digits()
    pixels, labels = digits.data / 16.0, digits.target
    train_x, train_y, test_x, test_y = pixels[:1400], labels[:1400], pixels[1400:], labels[1400:]
    rng = np.random.default_rng(recipe.seed)
    layers = _new_layers(recipe, rng)
    with wandb.init(
        entity=entity,
        project=PROJECT,
        name=recipe.name,
        group="mlp" if recipe.hidden else "softmax",
        tags=["demo", "digits"],
        config={**asdict(recipe), "epochs": EPOCHS, "batch": BATCH},
    ) as run:
        for epoch in range(EPOCHS):
            order = rng.permutation(len(train_x))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                _step(layers, train_x[rows], train_y[rows], recipe)
            loss, _ = _evaluate(layers, train_x, train_y)
            test_loss, accuracy = _evaluate(layers, test_x, test_y)
            run.log({"epoch": epoch, "loss": loss, "test/loss": test_loss, "test/accuracy": accuracy})
        weights = Path(run.dir) / "weights.npz"
        np.savez(weights, **{f"{name}{place}": layer[name] for place, layer in enumerate(layers) for name in layer})
        run.save(weights, base_path=run.dir, policy="now")
        if not np.isfinite(loss):
            run.finish(exit_code=1)


def _new_layers(recipe: Recipe, rng: np.random.Generator) -> list[dict[str, Any]]:
    widths = [64, recipe.hidden, 10] if recipe.hidden else [64, 10]
    return [
        {"w": rng.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out)), "b": np.zeros(fan_out)}
        for fan_in, fan_out in itertools.pairwise(widths)
    ]


def _forward(layers: list[dict[str, Any]], x: Floats) -> tuple[list[Floats], Floats]:
    """Inputs of each layer, and the class probabilities."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(np.maximum(0, inputs[-1] @ layer["w"] + layer["b"]))
    scores = inputs[-1] @ layers[-1]["w"] + layers[-1]["b"]
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return inputs, exponentials / exponentials.sum(axis=1, keepdims=True)


def _step(layers: list[dict[str, Any]], x: Floats, y: NDArray[np.int64], recipe: Recipe) -> None:
    """One step of gradient descent on a batch, in place."""
    inputs, probabilities = _forward(layers, x)
    gradient = probabilities.copy()
    gradient[np.arange(len(y)), y] -= 1
    gradient /= len(y)
    for layer, layer_input in zip(reversed(layers), reversed(inputs), strict=True):
        down = (gradient @ layer["w"].T) * (layer_input > 0)
        layer["w"] -= recipe.learning_rate * (layer_input.T @ gradient + recipe.weight_decay * layer["w"])
        layer["b"] -= recipe.learning_rate * gradient.sum(axis=0)
        gradient = down


def _evaluate(layers: list[dict[str, Any]], x: Floats, y: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy."""
    _, probabilities = _forward(layers, x)
    loss = float(-np.log(probabilities[np.arange(len(y)), y]).mean())
    return loss, float((probabilities.argmax(axis=1) == y).mean())


def main() -> None:
    """Train every recipe for the entity named on the command line, and say so line by line."""
    np.seterr(all="ignore")  # the last recipe overflows on purpose
    for recipe in RECIPES:
        train(recipe, sys.argv[1])
        print(recipe.name, flush=True)  # noqa: T201 — the parent process reads it


if __name__ == "__main__":
    main()
