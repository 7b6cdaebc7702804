"""Training: a candidate and its training rows become a fit."""

from relevo.train.data import TrainingSet
from relevo.train.fit import Fit
from relevo.train.training import native, train

VERSION = 2
"""Raised when the same inputs would give another fit."""

__all__ = ["VERSION", "Fit", "TrainingSet", "native", "train"]
