"""What the user's code says of a call afterwards: tags, outcome, evaluations."""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession, JobContext
from livekit.agents.evals import JudgeGroup, JudgmentResult

from prefactor_agent import TracedAgent
from prefactor_agent.deliver.prefactor.quality import quality
from support.job import Job
from support.scripted import ScriptedLLM
from support.tree import JSON, Recorder, check


class Polite:
    """A judge without a model."""

    name = "polite"

    def __init__(self, verdict: str) -> None:
        self._verdict = verdict

    async def evaluate(self, *, chat_ctx: Any, **_others: Any) -> JudgmentResult:
        said = [item.text_content for item in chat_ctx.items if item.type == "message"]
        options: JSON = {"verdict": self._verdict, "reasoning": f"it said {said[-1]}"}
        if "instructions" in JudgmentResult.__dataclass_fields__:
            options["instructions"] = "be polite"
        return JudgmentResult(**options)


class Brief(Polite):
    name = "brief"


async def call(job: Job) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="work"))
    await session.run(user_input="hello")
    return session


def result(sink: Recorder) -> JSON:
    told: JSON = sink.plain(sink.of("livekit:session")[0])["result"]
    return told


async def test_tags_and_outcome_of_a_running_call(sink: Recorder) -> None:
    job = Job()
    with job.running() as context:
        session = await call(job)
        context.tagger.add("voicemail:true")
        context.tagger.add("language:es")
        context.tagger.remove("language:es")
        context.tagger.success(reason="booked")
        await session.aclose()
        await job.end("done")
    check(sink)
    told = result(sink)
    assert told["tags"] == ["voicemail:true"]
    assert (told["outcome"], told["outcome_reason"]) == ("success", "booked")
    assert "evaluations" not in told


async def test_a_call_that_is_judged_when_it_is_over(sink: Recorder) -> None:
    async def on_session_end(context: JobContext) -> None:
        judges = JudgeGroup(llm=ScriptedLLM(), judges=[Polite("pass"), Brief("fail")])
        await judges.evaluate(context.primary_session.history)
        context.tagger.fail(reason="too long")

    async def last(reason: str) -> None:
        job.context.tagger.add("late:true")

    job = Job()
    with job.running() as context:
        context.add_shutdown_callback(last)
        await call(job)
        await job.end("done", on_session_end)
    spans = check(sink)
    told = result(sink)
    assert (told["outcome"], told["outcome_reason"]) == ("fail", "too long")
    assert told["tags"] == ["late:true"]
    polite, brief = told["evaluations"]
    assert (polite["name"], polite["verdict"]) == ("polite", "pass")
    assert polite["reasoning"] == "it said Hi."
    assert (brief["name"], brief["verdict"]) == ("brief", "fail")
    # The call itself went well: whether its aim was reached is another question.
    assert spans[0]["status"] == "complete"
    sent = quality(sink_rows(sink), {})
    assert sent["outcome"] == "fail"
    assert (sent["evaluations"], sent["evaluation_score"]) == (2, 0.5)


async def test_a_call_of_which_nothing_is_said(sink: Recorder) -> None:
    job = Job()
    with job.running():
        await call(job)
        await job.end("done")
    check(sink)
    assert not {"tags", "outcome", "outcome_reason", "evaluations"} & set(result(sink))
    assert not {"outcome", "evaluations", "evaluation_score"} & set(quality(sink_rows(sink), {}))


def sink_rows(sink: Recorder) -> list[tuple[str, str, str | None]]:
    from pydantic_core import to_json

    return [
        (span["type"], span["status"], to_json(span["result"]).decode()) for span in check(sink)
    ]
