"""The scheduler: what is to be done when, each job in a process of its own, one scheduler at a time for a project.

It imports neither the lake nor a training library, for it sits beside the service all day: jobs are ``relevo``
commands, and what a project wants is told by a short-lived process that loads it (``relevo.cli.tasks``).
"""
