"""The one-line summaries of the span types: Liquid templates over the keys of payload and result.

Prefactor renders them with a Liquid of its own, so they keep to what every Liquid has and to what
is known of Prefactor's: an object prints nothing, ``""`` is true, and a template that is not sound
gives no summary, without a word. What may be no text is captured before a filter sees it. The last
chain of filters makes one line of whatever was said, of :data:`LIMIT` characters at most.

Source: Prefactor's TypeScript SDK, ``skills/write-span-summary-templates``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.placeholders import EMPTY_TEXT

LIMIT = 120
MOST_ARGUMENTS = 3
"""So many arguments of a tool call are shown, in the order in which the tool declares them."""

_ONE_LINE = (
    '| newline_to_br | strip_newlines | replace: "<br />", " " '
    '| replace: "  ", " " | replace: "  ", " " | replace: "  ", " " | strip '
    f'| truncate: {LIMIT}, "…"'
)


def _line(words: str) -> str:
    return f"{{% capture line %}}{words}{{% endcapture %}}{{{{ line {_ONE_LINE} }}}}"


def _text(name: str, value: str) -> str:
    """Assign a value as text: empty for what is absent or is an object, and for an empty text of
    which the words are not kept."""
    return (
        f"{{% capture {name} %}}{{{{ {value} }}}}{{% endcapture %}}"
        f'{{% assign {name} = {name} | remove: "{EMPTY_TEXT}" %}}'
    )


_SHOWN_AS_TEXT = re.compile(r"(% capture \w+ %\}\{\{ )(\S+)( \}\})")


def reading_marks(template: str) -> str:
    """A template of ours that prints a value under its mark (``{"$sensitive": …, "value": …}``),
    too, whether or not Prefactor takes marks off before it renders."""
    return _SHOWN_AS_TEXT.sub(r"\1\2.value | default: \2\3", template)


# The words of an error may be kept from the trace: then its class is said.
_FAILED = (
    ' failed{% if error.message contains " characters>" %}{% if error.error_type %}: '
    "{{ error.error_type }}{% endif %}{% elsif error.message or error.error_type %}: "
    "{{ error.message | default: error.error_type }}{% endif %}"
)
_TOKENS = "{% if token_usage.total_tokens %} ({{ token_usage.total_tokens }} tokens){% endif %}"
_VOICE = (
    '{% if status == "failed" %}' + _FAILED + "{% elsif audio_seconds and audio_seconds > 0 %}: "
    "{{ audio_seconds | round: 1 }} s of speech"
    '{% if status == "cancelled" %}, cut off{% endif %}'
    '{% elsif status == "cancelled" %}: cut off before a sound'
    "{% elsif status %}: no sound{% endif %}"
)

SESSION = _line(
    "{% assign answers = conversation.assistant_messages %}"
    '{{ agent_class | default: agent_name | default: "Session" }}'
    '{% if status == "failed" %}' + _FAILED + "{% elsif latency.turns %}: "
    "{{ latency.turns }} answer{% unless latency.turns == 1 %}s{% endunless %}, dead air "
    "{{ latency.median_ms | divided_by: 1000.0 | round: 1 }} s "
    "(worst {{ latency.worst_ms | divided_by: 1000.0 | round: 1 }} s)"
    "{% elsif answers and answers > 0 %}: no dead air"
    "{% elsif status %}: nothing was answered{% endif %}"
    "{% if termination_reason %}, terminated: {{ termination_reason }}"
    '{% elsif status == "cancelled" %}, cancelled{% endif %}'
)
USER_TURN = _line(
    _text("said", "transcript") + '{% if said != "" %}Caller: {{ said }}'
    '{% if status == "cancelled" %} (not taken){% endif %}'
    '{% elsif status == "failed" %}Caller' + _FAILED + '{% elsif status == "cancelled" %}'
    "Caller: no words, not taken as a turn{% elsif status %}Caller: no words"
    "{% else %}Caller speaks{% endif %}"
)
ASSISTANT_TURN = _line(
    _text("said", "spoken_text")
    + _text("meant", "generated_text")
    + '{% if preemptive == "dropped" %}Agent: dropped an early answer'
    '{% elsif said != "" %}Agent: {% if interrupted %}(interrupted) {% endif %}{{ said }}'
    '{% elsif status == "failed" or error %}Agent' + _FAILED + "{% elsif interrupted %}"
    'Agent: interrupted before it was heard{% elsif status == "cancelled" %}Agent: cancelled'
    '{% elsif meant != "" %}Agent: was not heard: {{ meant }}'
    "{% elsif tool_calls and tool_calls > 0 %}Agent: no words, {{ tool_calls }} tool call"
    "{% unless tool_calls == 1 %}s{% endunless %}"
    "{% elsif status %}Agent: no words{% else %}Agent answers{% endif %}"
)
LLM = _line(
    _text("said", "text")
    + '{{ model_name | default: "LLM" }}{% if status == "failed" %}'
    + _FAILED
    + '{% elsif status == "cancelled" %} cancelled{% if said != "" %} after: {{ said }}{% endif %}'
    "{% elsif tool_calls[0] %} calls "
    "{% for call in tool_calls limit: 3 %}{% unless forloop.first %}, {% endunless %}"
    "{{ call.name }}{% endfor %}{% if tool_calls[3] %} …{% endif %}"
    + _TOKENS
    + '{% if said != "" %}: {{ said }}{% endif %}{% elsif said != "" %}'
    + _TOKENS
    + ': {{ said }}{% elsif text == "" %} gave no answer'
    + _TOKENS
    + "{% else %}"
    + _TOKENS
    + "{% endif %}"
)
STT = _line(
    _text("said", "transcript")
    + '{{ model_name | default: "STT" }}{% if status == "failed" %}'
    + _FAILED
    + '{% elsif said != "" %}: {{ said }}{% elsif status %}: no words{% endif %}'
)
TTS = _line('{{ model_name | default: "TTS" }}' + _VOICE)
TRANSCRIPTION = _line(
    _text("said", "text")
    + '{% if status == "failed" %}Transcript'
    + _FAILED
    + '{% elsif said != "" %}Transcript: {{ said }}'
    "{% elsif status %}Transcript: no words{% else %}Transcript{% endif %}"
)
REALTIME = _line('{{ model_name | default: "Realtime model" }}' + _VOICE + _TOKENS)
_TOOL = '{{ tool_name | default: "Tool" | truncate: 48, "…" }}'
_OUTCOME = (
    _text("gave", "outputs.output")
    + _text("taker", "outputs.agent")
    + '{% if outcome == "cancelled" %} cancelled{% elsif is_error or error %}'
    + _FAILED
    + '{% elsif outcome == "handoff" %} hands over to {{ taker | default: "an agent" }}'
    '{% elsif outcome == "stop_response" %} ends the turn without an answer'
    '{% elsif gave != "" %} → {{ gave }}{% elsif status %} returned{% endif %}'
)
TOOL_RESULT = _line(
    _TOOL
    + "{% if duration_ms and duration_ms >= 1 %} ({{ duration_ms | round }} ms){% endif %}"
    + _OUTCOME
)
ERROR = _line(
    '{{ source | default: "Error" }}: {% if message and message != "" %}'
    '{% if message contains " characters>" %}{{ error_type }}{% else %}{{ message }}{% endif %}'
    '{% else %}{{ error_type | default: "failed" }}{% endif %}'
    "{% if recoverable %} (tries again){% endif %}"
)
STATE = _line("{{ actor }}: {{ old_state }} to {{ new_state }}")
HANDOFF = _line(
    '{{ from | default: "no agent" }} to {{ to | default: "no agent" }}'
    "{% if tool_name %}, by {{ tool_name }}{% endif %}"
    "{% if error %}: the task" + _FAILED + "{% endif %}"
)
RPC = _line(
    'RPC {{ direction }} {{ method }}{% if status == "failed" %}'
    + _FAILED
    + "{% if error_code %} ({{ error_code }}){% endif %}{% endif %}"
)
CALL = _line(
    "{{ turns }} turn{% unless turns == 1 %}s{% endunless %}"
    "{% if silence_worst_ms %}, dead air {{ silence_median_ms | divided_by: 1000.0 | round: 1 }} s "
    "(worst {{ silence_worst_ms | divided_by: 1000.0 | round: 1 }} s){% endif %}"
    "{% if interrupted and interrupted > 0 %}, interrupted {{ interrupted }}x{% endif %}"
    "{% if unanswered and unanswered > 0 %}, {{ unanswered }} unanswered{% endif %}"
    "{% if tools and tools > 0 %}, {% if tools_failed and tools_failed > 0 %}"
    "{{ tools_failed }} of {{ tools }} tool calls failed{% else %}{{ tools }} tool call"
    "{% unless tools == 1 %}s{% endunless %}{% endif %}{% endif %}"
    "{% assign others = errors | minus: tools_failed %}{% if others > 0 %}, {{ others }} error"
    "{% unless others == 1 %}s{% endunless %}{% endif %}"
    '{% if outcome == "fail" %}, failed its task{% endif %}'
)


def tool(arguments: Sequence[Sequence[str]] = ()) -> str:
    """The summary of a tool's calls: ``look_up_order(42) → Order 42 has shipped``.

    Args:
        arguments: Where its arguments are in ``inputs``, each a path of keys. One whose name Liquid
            cannot say is not shown.
    """
    shown = [path for path in arguments if not any('"' in key for key in path)][:MOST_ARGUMENTS]
    called = "".join(
        _text("value", "inputs" + "".join(f'["{key}"]' for key in path))
        + '{% if value != "" %}, {{ value | truncate: 24, "…" }}{% endif %}'
        for path in shown
    )
    if called:
        called = (
            f"{{% capture given %}}{called}{{% endcapture %}}"
            '{% if given != "" %}({{ given | remove_first: ", " | truncate: 48, "…" }}){% endif %}'
        )
    return _line(_TOOL + called + _OUTCOME)
