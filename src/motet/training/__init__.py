"""Training: one mixed batch a step, a loss per live task, and an answer for every task that has converged.

Feed --chunks--> Objective --losses--> Balancer --gradients--> Optimiser        every step: `Trainer`
scores --> Tracker --> peaks, switches --> Snapshots, Teaching                  every check: `Monitor`

>>> from motet.training import Patience, Distill
>>> Patience(checks=5, then=Distill(weight=0.5)).checks
5
"""

from motet.training.convergence import PRESETS, Convergence, Never, Patience
from motet.training.experiment import Experiment, Training
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.responses import Continue, Distill, Drop, Response, Stop
from motet.training.run import Interrupted, Run, resume, start, train
from motet.training.schedules.base import Schedule
from motet.training.schedules.joint import Joint
from motet.training.schedules.sequential import Sequential

__all__ = [
    "PRESETS",
    "Continue",
    "Convergence",
    "Distill",
    "Drop",
    "Experiment",
    "Interrupted",
    "Joint",
    "Never",
    "Patience",
    "PretrainedTeacher",
    "Response",
    "Run",
    "Schedule",
    "Sequential",
    "Stop",
    "Training",
    "resume",
    "start",
    "train",
]
