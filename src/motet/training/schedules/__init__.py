"""Schedules: which tasks take part when, one rule a file.

>>> from motet.training.schedules import Joint, Moment
>>> Joint().build({}, seed=0).live(Moment(["mood", "length"]))
('mood', 'length')

A scheduler is asked before every step which tasks are live, and at what rate. It may also hear how the tasks score
(`observe`) and which step comes (`begin`).
"""

from motet.training.schedules.base import Moment, Schedule, Scheduler, Timetable
from motet.training.schedules.curriculum import Curriculum
from motet.training.schedules.joint import Joint
from motet.training.schedules.low_to_high import LowToHigh
from motet.training.schedules.phases import Phase, Phases
from motet.training.schedules.pretrain_finetune import PretrainFinetune
from motet.training.schedules.primary_auxiliary import PrimaryAuxiliary
from motet.training.schedules.primary_first import PrimaryFirst
from motet.training.schedules.sequential import Sequential
from motet.training.schedules.state_machine import StateMachine
from motet.training.schedules.worst_first import WorstFirst

__all__ = [
    "Curriculum",
    "Joint",
    "LowToHigh",
    "Moment",
    "Phase",
    "Phases",
    "PretrainFinetune",
    "PrimaryAuxiliary",
    "PrimaryFirst",
    "Schedule",
    "Scheduler",
    "Sequential",
    "StateMachine",
    "Timetable",
    "WorstFirst",
]
