"""Files for the engines that a company runs already: written anew at will, never over somebody's work."""

from relevo.export.written import REMEMBERED, Written, write

__all__ = ["REMEMBERED", "Written", "write"]
