"""Trackers: the events of a run, handed on to the tools where people keep their experiments.

A tracker reads the event stream and nothing else, in a thread of its own: a slow one delays no step, and one that fails
becomes one warning. All are off until they are asked for.

    points.py    which numbers an event holds, under names like `topic/validation/macro_f1`
    sink.py      what every tool must be able to do            tracker.py   the thread between a run and a tool
    opening.py   trackers by name, and what closes them
    tensorboard.py  mlflow.py  wandb.py  trackio.py            one tool each

    >>> from motet.tracking.points import points
    >>> points({"event": "step", "step": 10, "losses": {"topic": 0.5}})
    {'topic/train/loss': 0.5}
"""
