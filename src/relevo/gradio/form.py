"""The page itself: Gradio's blocks for one contract in one language.

No event goes through Gradio's queue, and none keeps a session's state: each is one POST that is answered, which
works behind every proxy and with several processes. A page's memory does not grow with its visitors.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.routes import App

from relevo.errors import RelevoError, ServiceError
from relevo.gradio import batch, shown, widgets
from relevo.gradio import subject as subjects
from relevo.gradio.origins import Refused
from relevo.package.model import TOLERANCE
from relevo.texts import speaking, t

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from relevo import AsyncClient
    from relevo.client import Answer
    from relevo.gradio.origins import Origin
    from relevo.gradio.subject import Subject

SESSIONS = 64
"""Sessions that Gradio keeps something about; it is never needed."""
_EVENT: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "minimal"}


class Form:
    """The page about one ``subject``; ``app`` answers for it below any path. Made within ``speaking(language)``.

    ``batches`` bounds the files that are scored at once.
    """

    def __init__(
        self,
        origin: Origin,
        subject: Subject,
        language: str,
        folder: Path,
        *,
        max_upload: int,
        batches: asyncio.Semaphore,
    ) -> None:
        self._origin, self._subject, self._language = origin, subject, language
        self._folder = folder
        self._batches = batches
        theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
        with gr.Blocks(title=subject.project, analytics_enabled=False) as blocks:
            self._head = gr.HTML(shown.head(subject))
            if subject.by is not None:
                self._recommending()
            with gr.Tab(t("One prediction")):
                self._asking()
            with gr.Tab(t("A file")):
                self._scoring(max_upload)
            blocks.load(self.headed, None, self._head, **_EVENT)
        self.app = _application(blocks, theme, max_upload)

    def _recommending(self) -> None:
        assert self._subject.by is not None
        by = self._subject.by
        with gr.Tab(t("Recommendations")):
            asked = widgets.chooser(by, elem_id="recommend-for")
            wrong = gr.HTML(visible=False, elem_id="recommend-problem", padding=False)
            button = gr.Button(
                t("Show the {k} likeliest", k=self._subject.k), variant="primary", elem_id="recommend"
            )
            found = gr.HTML(elem_id="recommendations")
            button.click(self.recommended, asked, [found, self._head, wrong], **_EVENT)

    def _asking(self) -> None:
        fields = self._subject.fields
        inputs, wrong = [], []
        examples = [(name, widgets.filled(fields, one)) for name, one in self._subject.examples.items()]
        with gr.Row():
            buttons = [
                (gr.Button(t("Example: {name}", name=name), size="sm", elem_id=f"example-{place}"), filled)
                for place, (name, filled) in enumerate(examples)
            ]
        with gr.Row():
            for number, field in enumerate(fields):
                with gr.Column(min_width=280):
                    inputs.append(widgets.widget(field, number))
                    wrong.append(gr.HTML(visible=False, elem_id=f"problem-{number}", padding=False))
        button = gr.Button(t("Predict"), variant="primary", elem_id="predict")
        answer, why = gr.HTML(elem_id="answer"), gr.HTML(elem_id="explanation")
        button.click(self.predicted, inputs, [answer, why, self._head, *wrong], **_EVENT)
        for one, filled in buttons:
            one.click(_giving(filled), None, inputs, **_EVENT)

    def _scoring(self, max_upload: int) -> None:
        formats = ", ".join(batch.FORMATS)
        gr.Markdown(
            t(
                "A file with one request a row: {formats}, of at most {size:,} bytes. CSV has a header with the"
                " fields' names. Each row gets its answer, or says in its place why it has none.",
                formats=formats,
                size=max_upload,
            )
        )
        given = gr.File(label=t("A file"), file_types=list(batch.FORMATS), type="filepath", elem_id="upload")
        setattr(given, "preprocess", _path)  # noqa: B010 - Gradio says no in one language only
        button = gr.Button(t("Score the file"), variant="primary", elem_id="score")
        told = gr.HTML(elem_id="scored")
        result = gr.File(label=t("The answers"), visible=False, interactive=False, elem_id="result")
        button.click(self.scored, given, [told, result, self._head], **_EVENT)

    def _client(self, request: gr.Request) -> AsyncClient:
        scope = _scope(request)
        return self._origin.client(scope["relevo.key"], self._language, scope["relevo.peer"])

    async def headed(self, request: gr.Request) -> Any:
        """The heading with the version that answers now."""
        with speaking(self._language):
            try:
                document = await self._origin.described(_scope(request)["relevo.key"], self._language)
                now = subjects.read(document)
            except Refused as refused:
                return shown.head(self._subject) + shown.alert(refused.said())
            except ServiceError as error:
                return shown.head(self._subject) + shown.refusal(error, ())
            return shown.head(now or self._subject)

    async def predicted(self, request: gr.Request, *given: Any) -> list[Any]:
        """Answer what the widgets hold: the answer, why, the heading, and what is wrong beside each field."""
        fields = self._subject.fields
        row = widgets.request(fields, given)
        with speaking(self._language):
            try:
                async with self._client(request) as client:
                    found = await client.predict(row)
                    why = await self._why(client, row, found)
            except RelevoError as error:
                return self._refused(error)
            return [
                shown.answer(found, self._subject),
                why,
                self._head_of(found.version),
                *[gr.update(visible=False)] * len(fields),
            ]

    def _head_of(self, version: str) -> str:
        return shown.head(replace(self._subject, version=version))

    @staticmethod
    async def _why(client: AsyncClient, row: Mapping[str, Any], found: Answer) -> str:
        """The explanation, where the same version has one; the answer stands without it."""
        try:
            explained = await client.explain(row, log=False)
        except RelevoError:
            return ""
        alike = math.isclose(explained.probability, found.probability, abs_tol=TOLERANCE)
        if explained.version != found.version or not alike or not explained.explanation:
            return ""
        return shown.explanation(explained.explanation)

    def _refused(self, error: RelevoError) -> list[Any]:
        names = [field.name for field in self._subject.fields]
        if not isinstance(error, ServiceError):
            error = ServiceError(str(error), status=0, title=str(error))
        said: dict[str, str] = {}
        for one in error.problems:
            said.setdefault(str(one.get("field")), str(one.get("problem")))
        beside = [
            gr.update(visible=name in said, value=shown.problem(said[name]) if name in said else "")
            for name in names
        ]
        return [shown.refusal(error, names), "", gr.update(), *beside]

    async def recommended(self, request: gr.Request, asked: Any) -> list[Any]:
        """The likeliest items, the heading, and what is wrong beside the widget."""
        assert self._subject.by is not None
        by = self._subject.by
        with speaking(self._language):
            if asked is None or not str(asked).strip():
                wrong = gr.update(visible=True, value=shown.problem(t("is required and absent.")))
                return ["", gr.update(), wrong]
            try:
                async with self._client(request) as client:
                    found = await client.recommend(str(asked).strip(), self._subject.k)
            except RelevoError as error:
                refused = error if isinstance(error, ServiceError) else ServiceError(str(error), status=0)
                beside = [str(one.get("problem")) for one in refused.problems if one.get("field") == by.name]
                wrong = gr.update(visible=bool(beside), value=shown.problem(" ".join(beside)))
                return [shown.refusal(refused, [by.name]), gr.update(), wrong]
            head = self._head_of(found[0].version) if found else gr.update()
            return [shown.recommended(found, self._subject), head, gr.update(visible=False)]

    async def scored(self, request: gr.Request, given: str | None) -> list[Any]:
        """Score a file: what to say of it, the file of answers, the heading."""
        nothing = gr.update(visible=False, value=None)
        with speaking(self._language):
            if not given:
                return [shown.alert(t("Give a file first.")), nothing, gr.update()]
            if self._batches.locked():
                return [
                    shown.alert(t("Other files are being scored. Try again in a moment.")),
                    nothing,
                    gr.update(),
                ]
            async with self._batches:
                try:
                    async with self._client(request) as client:
                        made, told = await batch.scored(client, given, self._folder)
                except RelevoError as error:
                    refused = error if isinstance(error, ServiceError) else ServiceError(str(error), status=0)
                    return [shown.refusal(refused, ()), nothing, gr.update()]
            return [told, gr.update(visible=True, value=str(made)), gr.update()]


def _scope(request: gr.Request) -> Mapping[str, Any]:
    """What the page's own application noted of a request."""
    assert request.request is not None
    return request.request.scope


def _path(given: Any) -> str | None:
    """Where a file is that was given; Gradio has seen to it that it was."""
    return str(given.path) if given is not None else None


def _giving(filled: list[Any]) -> Callable[[], Any]:
    def given() -> Any:
        return filled if len(filled) != 1 else filled[0]

    return given


def _application(blocks: Any, theme: gr.themes.Base, max_upload: int) -> App:
    """Make Gradio's own ASGI application, as ``gradio.mount_gradio_app`` does, without what nobody uses here."""
    blocks.run_history = blocks.dev_mode = blocks.ssr_mode = blocks.enable_monitoring = False
    blocks.footer_links = []
    blocks.max_file_size = max_upload
    blocks.auth = blocks.auth_message = blocks.favicon_path = None
    blocks.allowed_paths, blocks.blocked_paths = [], []
    blocks.show_error = False
    blocks.has_launched = True  # without it Gradio takes any file of the machine for an upload
    blocks.theme, blocks.css, blocks.js, blocks.head = theme, shown.CSS, "", ""
    blocks.head_paths, blocks.css_paths = [], []
    blocks.state_session_capacity = SESSIONS
    blocks._set_html_css_theme_variables()  # noqa: SLF001 - Gradio's mount does it too
    blocks.config = blocks.get_config_file()
    blocks.transpile_to_js()
    return App.create_app(blocks, app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None})
