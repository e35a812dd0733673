"""Recipes: a file that spells the same objects a Python user writes.

    parsing.py    YAML, JSON or TOML becomes a `Document`: plain data that still knows its lines
    overrides.py  settings from the command line in place of those of the file
    parts.py      what a recipe may hold, drawn from the parts themselves
    values.py     one value against the type of its field         strangers.py  a key where nobody asks for it
    reading.py    parts from plain data                           sections.py   the whole
    loading.py    files and plain data become experiments         writing.py    and back, with every default
    draft.py      a first recipe from data, by its card or        guess.py      by its columns
    schema.py     what editors check a recipe against

>>> from motet.recipe import loads
>>> experiment = loads({"tasks": {"mood": {"type": "classification", "source": "reviews.csv"}}, "sampler": "uniform"})
>>> loads(experiment.describe()) == experiment
True
"""

from motet.recipe.loading import Loaded, load, loads
from motet.recipe.writing import fill, to_yaml

__all__ = ["Loaded", "fill", "load", "loads", "to_yaml"]
