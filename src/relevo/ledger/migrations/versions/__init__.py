"""One module a revision; those released never change."""
