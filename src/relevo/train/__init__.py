"""Training: a candidate and its training rows become a fit."""

from relevo.train.data import TrainingSet
from relevo.train.fit import Fit
from relevo.train.nested import OutOfFold, out_of_fold
from relevo.train.training import native, train

VERSION = 3
"""Raised when the same inputs would give another fit."""

__all__ = ["VERSION", "Fit", "OutOfFold", "TrainingSet", "native", "out_of_fold", "train"]
