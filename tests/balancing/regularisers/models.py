"""Parameters of a model that is not there: two shared ones, and for each of two tasks a layer and a head."""

from __future__ import annotations

import torch
from torch import nn

from motet.balancing.regularisers.base import Parameters


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def model() -> Parameters:
    layers = {
        "a": {"*.weight": parameter(1.0, 2.0), "*.bias": parameter(0.0)},
        "b": {"*.weight": parameter(4.0, 6.0), "*.bias": parameter(2.0)},
    }
    heads = {"a": parameter(1.0, -1.0, 3.0), "b": parameter(2.0)}
    own = {task: [*layers[task].values(), heads[task]] for task in layers}
    return Parameters([parameter(3.0, 4.0), parameter(0.0, 1.0, -1.0)], own, layers)


def moved(parameters: Parameters, by: float) -> None:
    """Add a number to everything, own parameters of the tasks as much more as they come later."""
    with torch.no_grad():
        for p in parameters.shared:
            p.add_(by)
        for place, of in enumerate(parameters.own.values(), start=2):
            for p in of:
                p.add_(place * by)
