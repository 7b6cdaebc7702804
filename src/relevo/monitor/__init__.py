"""Monitor: the windows that have ended are looked at, and what they tell is recorded."""

from relevo.monitor.watch import monitor

__all__ = ["monitor"]
