"""A widget for each field, and what it holds as a request's value.

The widgets check nothing themselves: what is given goes to the service as it is, whose refusals are shown beside
them. So Gradio's own checks, which round, clip and tell in one language, are left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import gradio as gr

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.gradio.subject import Field

NOTHING = ""
"""What a widget without a value holds, where Gradio would make something of null."""
ABSENT = object()
"""In place of a value: the field is not sent."""
_STEPS = 1000
_LONG = 200
_EDGE = re.compile(r"(?<!\w)_|_(?!\w)|_(?=_)|(?<=_)_")  # not those within a name
_MANY = 10  # choices from which on one may type to find one


Component = gr.components.Component


def _taking_all(made: Component) -> Component:
    """Let a widget give what was typed, and show what it is given.

    On the instance: of a subclass Gradio would write a stub file beside this module.
    """
    for method in ("preprocess", "postprocess"):
        setattr(made, method, lambda given: given)
    return made


def choices(field: Field) -> list[Any] | None:
    """What can be chosen, where a field is not written or ticked; the last is null where null may be."""
    found: list[Any] | None = list(field.choices) if field.choices is not None else None
    if found is None and field.kind == "boolean" and field.nullable:
        found = [True, False]
    return found


def widget(field: Field, number: int) -> Component:
    """Make a field's widget; must be called within the page's blocks."""
    return _taking_all(_widget(field, number))


def chooser(field: Field, **more: Any) -> Component:
    """A widget with a field's examples, which takes other values too."""
    known = [str(one) for one in field.examples]
    return _taking_all(
        gr.Dropdown(
            choices=known,
            value=known[0] if known else None,
            allow_custom_value=True,
            label=label(field),
            info=hint(field),
            **more,
        )
    )


def _widget(field: Field, number: int) -> Component:
    common: dict[str, Any] = {"label": label(field), "info": hint(field), "elem_id": f"field-{number}"}
    value = field.default if not field.required else None
    listed = choices(field)
    if listed is not None:
        named = [(_shown(one), str(place)) for place, one in enumerate(listed)]
        blank = [("—", NOTHING)] if field.nullable or value is None else []
        return gr.Dropdown(
            choices=[*blank, *named], value=shown(field, value), filterable=len(named) > _MANY, **common
        )
    if field.kind == "boolean":
        return gr.Checkbox(value=bool(value), **common)
    if field.kind in ("date", "timestamp"):
        return gr.DateTime(value=value, include_time=field.kind == "timestamp", type="string", **common)
    if field.kind in ("integer", "double"):
        return _number(field, value, common)
    return gr.Textbox(
        value=value or "",
        placeholder=_example(field),
        lines=3 if (field.limits.get("maxLength") or 0) > _LONG else 1,
        max_length=field.limits.get("maxLength"),
        **common,
    )


def _number(field: Field, value: Any, common: dict[str, Any]) -> Component:
    low: Any = field.limits.get("minimum")
    high: Any = field.limits.get("maximum")
    step: Any = _step(field)
    bounded = low is not None and high is not None and step is not None and not field.nullable
    if bounded and (high - low) / step <= _STEPS:
        start = value if value is not None else next((one for one in field.examples if one is not None), low)
        return gr.Slider(minimum=low, maximum=high, step=step, value=start, **common)
    return gr.Number(
        value=shown(field, value),
        minimum=low,
        maximum=high,
        step=step or 1,
        placeholder=_example(field),
        **common,
    )


def _step(field: Field) -> float | None:
    """The distance between two numbers that a field is likely to have; None where none can be told."""
    if field.kind == "integer":
        return 1
    low, high = field.limits.get("minimum"), field.limits.get("maximum")
    if low is None or high is None or not high > low:
        return None
    step = 1.0
    while (high - low) / step < _STEPS / 10:
        step /= 10
    return step


def label(field: Field) -> str:
    """The field's name, with its unit, and whether it may be left out."""
    unit = f" ({field.unit})" if field.unit else ""
    left_out = field.nullable or not (field.required or choices(field) is not None or field.kind == "boolean")
    return f"{field.name}{unit}" + (f", {t('may be left empty')}" if left_out else "")


def hint(field: Field) -> str | None:
    """The description and the rules, in words."""
    limits, said = field.limits, []
    low, high = limits.get("minimum"), limits.get("maximum")
    if low is not None and high is not None:
        said.append(t("from {low} to {high}", low=low, high=high))
    elif low is not None or high is not None:
        said.append(t("at least {low}", low=low) if low is not None else t("at most {high}", high=high))
    if "exclusiveMinimum" in limits:
        said.append(t("more than {low}", low=limits["exclusiveMinimum"]))
    if "exclusiveMaximum" in limits:
        said.append(t("less than {high}", high=limits["exclusiveMaximum"]))
    if "minLength" in limits:
        said.append(t("at least {count} characters", count=limits["minLength"]))
    if "maxLength" in limits:
        said.append(t("at most {count} characters", count=limits["maxLength"]))
    if "pattern" in limits:
        said.append(t("of the form {pattern}", pattern=limits["pattern"]))
    if field.kind == "integer" and field.choices is None:
        said.append(t("a whole number"))
    parts = [field.description, ", ".join(said)]
    return literal("; ".join(part for part in parts if part)) or None


def literal(text: str) -> str:
    """A text that Gradio shows as it is: signs that it takes for Markdown become others that look alike."""
    plain = text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}").replace("*", "\N{ASTERISK OPERATOR}")
    return _EDGE.sub("\N{MODIFIER LETTER LOW MACRON}", plain.replace("](", "]\N{WORD JOINER}("))


def value(field: Field, given: Any) -> Any:
    """What a request has for what a widget holds: null where nothing is given and null may be, else ``ABSENT``."""
    if isinstance(given, str) and not given.strip():
        given = None
    if given is None:
        return None if field.nullable else ABSENT
    listed = choices(field)
    if listed is not None:
        known = isinstance(given, str) and given.isdecimal() and int(given) < len(listed)
        return listed[int(given)] if known else given
    return given


def request(fields: Sequence[Field], given: Sequence[Any]) -> dict[str, Any]:
    """A request of what the widgets hold."""
    found = {field.name: value(field, one) for field, one in zip(fields, given, strict=True)}
    return {name: one for name, one in found.items() if one is not ABSENT}


def shown(field: Field, given: Any) -> Any:
    """What a widget holds for a request's value."""
    listed = choices(field)
    if listed is not None:
        return str(listed.index(given)) if given in listed else NOTHING
    if given is None and field.kind == "boolean":
        return False
    if given is None and field.kind in ("integer", "double"):
        return NOTHING  # Gradio shows a number that is null as 0
    if field.kind == "timestamp" and isinstance(given, str):
        return given.replace("T", " ")
    return given


def filled(fields: Sequence[Field], example: Mapping[str, Any]) -> list[Any]:
    """What the widgets hold for a request."""
    return [shown(field, example.get(field.name, field.default)) for field in fields]


def _shown(choice: Any) -> str:
    if isinstance(choice, bool):
        return t("yes") if choice else t("no")
    return str(choice)


def _example(field: Field) -> str:
    return next((str(one) for one in field.examples if one is not None), "")
