"""Messages to people: how they read, and the channels that carry them."""

from relevo.notify.carry import carry

__all__ = ["carry"]
