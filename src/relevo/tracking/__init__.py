"""The mirror in MLflow: what the ledger knows is told to an MLflow server, and aliases moved there are taken up.

Nothing here is on the path of a run or of an answer: a process of its own reads the ledger's append-only facts, asks
what of them was told already, and tells the rest. MLflow itself is imported by ``server`` alone, when it is used.
``pyfunc`` is what MLflow loads a package with, and needs nothing but the package's own floor.
"""
