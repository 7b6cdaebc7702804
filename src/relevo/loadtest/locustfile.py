"""Writes the file that Locust runs: plain Python without Relevo, for its user to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.loadtest.draws import Form
    from relevo.loadtest.target import Target

_HEAD = '''"""A load test of the service at {url}, made from its contract; change it as you like.

    relevo loadtest {url} --locustfile THIS-FILE
    locust -f THIS-FILE --host {url}

The key comes from RELEVO_API_KEY, further headers as JSON from RELEVO_LOADTEST_HEADERS; neither is kept here.
"""

import itertools
import json
import os
import random
{imports}
from locust import FastHttpUser, constant, task

PATH = {path}
SEED = {seed}
HEADERS = {{"Content-Type": "application/json", **json.loads(os.environ.get("RELEVO_LOADTEST_HEADERS") or "{{}}")}}
if os.environ.get("RELEVO_API_KEY"):
    HEADERS.setdefault("Authorization", "Bearer " + os.environ["RELEVO_API_KEY"])
numbers = itertools.count()
'''
_USER = '''

class Caller(FastHttpUser):
    """Asks, waits for the answer, and asks again."""

    wait_time = constant(0)  # seconds between an answer and the next request; between(1, 3) for people
    connection_timeout = network_timeout = {timeout}
    insecure = False  # certificates are checked

    def on_start(self):
        self.draw = random.Random(f"{{SEED}} {{os.getpid()}} {{next(numbers)}}")

    @task
    def ask(self):
        self.client.post(PATH, data=body(self.draw), headers=HEADERS)
'''
_DRAWN = '''

def body(draw):
    """Draw one request."""
    request = {{
{fields}
    }}
    return json.dumps(request).encode()
'''
_READ = '''BODIES = [line for line in Path({file}).read_bytes().splitlines() if line.strip()]


def body(draw):
    """Take one line."""
    return draw.choice(BODIES)
'''
_ONE = '''BODY = Path({file}).read_bytes().strip()


def body(draw):
    """Always the same."""
    return BODY
'''


def source(
    target: Target, *, seed: int, form: Form | None = None, bodies: Path | None = None, lines: int = 0
) -> str:
    """Write the file, which draws by ``form`` or takes one of the ``lines`` of the file ``bodies``.

    What comes from the contract is in it as literals alone.
    """
    head = _HEAD.format(
        url=target.url,
        path=repr(target.path),
        seed=seed,
        imports="" if form else "from pathlib import Path\n",
    )
    if form is not None:
        fields = "\n".join(
            f"        {name!r}: draw.{draw.method}({', '.join(map(repr, draw.arguments))}),"
            for name, draw in form.fields.items()
        )
        middle = _DRAWN.format(fields=fields)
    else:
        middle = (_READ if lines > 1 else _ONE).format(file=repr(str(bodies)))
    return head + middle + _USER.format(timeout=target.timeout)
