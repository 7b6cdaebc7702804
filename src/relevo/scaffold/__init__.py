"""A first project from a file and a target: profiled, written down, and ready to run.

``new`` reads the file as ingest will, settles types, ranges, nulls, target and split from all of its rows,
leaves out what gives the outcome away, and writes the project with a reason beside each choice.
"""

from relevo.scaffold.facts import Column, Cut, Found, Left, Outcome
from relevo.scaffold.making import Made, new, report

__all__ = ["Column", "Cut", "Found", "Left", "Made", "Outcome", "new", "report"]
