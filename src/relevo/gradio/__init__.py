"""The end user's page: a form made from the contract, files in and out, recommendations; by Gradio.

The page is a client of the service. It asks one over HTTP, or the very application of ``relevo.serving`` in its
own process, through the same door and with the visitor's own key; nothing is answered in another way.
"""

# ruff: noqa: E402 - Gradio reads the environment when it is imported
import os

from relevo.extras import need

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.pop("GRADIO_MCP_SERVER", None)
need("gradio", "gradio")

from relevo.gradio.run import mounted, run

__all__ = ["mounted", "run"]
