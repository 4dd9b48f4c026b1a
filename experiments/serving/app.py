"""App: the desk behind HTTP, with keys, limits, metrics and the coach console."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pydantic_core import to_json

from . import view
from .answers import Decide, Happen
from .asks import DecisionAsk, Decisions, Enrolment, EventAsk, Events, Name, NewKey, OldKey, Stop, Word
from .desk import ClashError, Desk, MissingError
from .keys import Caller, Callers, issue, revoke
from .swift import Door, Swift
from .turn import Turn
from .watch import FAILED, SMALL, Log, Watch

LIMIT = 8 << 20  # bytes of a body


def application(desk: Desk, limit: int = LIMIT, log: Log | None = None) -> Watch:
    """Return the web application of `desk`; bodies above `limit` bytes are refused, each request is told to `log`."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.store.close()  # after the last request was answered
        if log is not None:
            log.flush()

    callers = Callers(desk.store)
    app = FastAPI(title="Trailmark", version="1", lifespan=life, description="What next, for whom, and why.")
    registry = CollectorRegistry()
    turn = Turn(desk, Counter("trailmark_rounds", "Writes to disk", registry=registry))
    decided = Counter("trailmark_decisions", "Decisions", ["kind"], registry=registry)
    paused, automatic = decided.labels("paused"), decided.labels("automatic")

    @app.exception_handler(MissingError)
    async def missing(_: Request, error: MissingError) -> JSONResponse:
        return _problem(404, str(error.args[0]))

    @app.exception_handler(ClashError)
    async def clash(_: Request, error: ClashError) -> JSONResponse:
        return _problem(409, str(error))

    @app.exception_handler(ValueError)
    async def invalid(_: Request, error: ValueError) -> JSONResponse:
        return _problem(422, str(error))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return _problem(500, FAILED)

    def asker(role: str) -> Callable[..., Awaitable[Caller]]:
        async def whose(request: Request, authorization: Annotated[str | None, Header()] = None) -> Caller:
            found = callers.of(authorization or "")
            if found is None:
                said = "this key is unknown or revoked" if authorization else "say Authorization: Bearer KEY"
                raise HTTPException(401, said, {"WWW-Authenticate": "Bearer"})
            request.scope["caller"] = found
            if not found.may(role):
                raise HTTPException(403, f"this needs the role {role}")
            return found

        return whose

    AppKey = Annotated[Caller, Depends(asker("app"))]
    CoachKey = Annotated[Caller, Depends(asker("coach"))]
    AdminKey = Annotated[Caller, Depends(asker("admin"))]
    wrong: dict[int | str, dict[str, Any]] = {
        401: {"description": "no key, or an unknown one"},
        403: {"description": "the key's role is too low"},
        404: {"description": "no such learner in this tenant"},
        409: {"description": "the request id or the learner's name was used for something else"},
        413: {"description": "the body is too large"},
    }

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        """The store answers and the bundle is loaded."""
        desk.store.rows("SELECT 1")
        return {"status": "ok", "bundle": desk.engine.digest}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counts and times for Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")

    @app.get("/bundle", responses=wrong)
    async def bundle(_: AppKey) -> Response:
        """What is served: the card, the activities, skills and roles, and the digest."""
        about = desk.engine.about
        shown = {key: about[key] for key in ("activities", "skills", "roles", "fallback")}
        return _said({"digest": desk.engine.digest, "card": desk.engine.card} | shown)

    @app.post("/learners", status_code=201, responses=wrong)
    async def enrol(ask: Enrolment, who: AppKey) -> Response:
        """Enrol a learner."""
        asked = (who.tenant, ask.request, ask.learner, ask.role, ask.minutes, ask.past, ask.time)
        return _said(await turn.write(lambda: desk.enrol(*asked)), 201)

    def happened(who: Caller, ask: EventAsk) -> Happen:
        return Happen(who.tenant, ask.request, ask.learner, ask.__dict__)

    def chosen(who: Caller, ask: DecisionAsk) -> Decide:
        return Decide(who.tenant, ask.request, ask.learner, ask.k, ask.days, ask.time)

    def told(said: dict[str, Any]) -> None:
        (paused if said["paused"] else automatic).inc()

    @app.post("/events", responses=wrong)
    async def event(ask: EventAsk, who: AppKey) -> Response:
        """Take in what happened; the answer says at once what it changed, in words a learner can read."""
        return _said(await turn.take(happened(who, ask)))

    @app.post("/events/batch", responses=wrong)
    async def events(ask: Events, who: AppKey) -> Response:
        """Take in many events, in order; the first that fails stops the rest, and those before it stand."""
        asked = [happened(who, one) for one in ask.events]
        return _said({"events": await turn.write(lambda: desk.events(asked))})

    @app.post("/decisions", responses=wrong)
    async def decision(ask: DecisionAsk, who: AppKey) -> Response:
        """Choose the learner's next activity; the same request id is answered the same again."""
        said = await turn.take(chosen(who, ask))
        told(said)
        return _said(said)

    @app.post("/decisions/batch", responses=wrong)
    async def decisions(ask: Decisions, who: AppKey) -> Response:
        """Choose for many learners at once."""
        asked = [(one.request, one.learner, one.k, one.days, one.time) for one in ask.decisions]
        said = await turn.write(lambda: desk.decide_many(who.tenant, asked))
        for one in said:
            told(one)
        return _said({"decisions": said})

    @app.get("/learners", responses=wrong)
    async def roster(
        who: CoachKey,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        after: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        """List the tenant's learners by name."""
        found = desk.store.roster(who.tenant, limit, after)
        shown = [{"learner": one.id, "seen": one.seen, "attention": one.attention} for one in found]
        return _said({"learners": shown})

    @app.get("/queue", responses=wrong)
    async def queue(who: CoachKey) -> Response:
        """List the learners who need a person, the most urgent first."""
        stopped = desk.stopped(who.tenant)
        return _said({"stopped": stopped, "learners": view.queue(desk, who.tenant)})

    @app.get("/learners/{learner}", responses=wrong)
    async def look(learner: Name, who: CoachKey) -> Response:
        """Show one learner: mastery, what comes next and why."""
        return _said(view.look(desk, who.tenant, learner))

    @app.get("/learners/{learner}/trail", responses=wrong)
    async def trail(
        learner: Name,
        who: CoachKey,
        after: Annotated[int, Query(ge=0, le=1 << 62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        """Show the audit trail of one learner, in order."""
        lines = desk.store.ledger(who.tenant, learner, after, limit)
        return _said({"lines": [line._asdict() for line in lines]})

    @app.post("/learners/{learner}/{kind}", responses=wrong)
    async def say(
        learner: Name, kind: Literal["override", "veto", "pause", "seen"], ask: Word, who: CoachKey
    ) -> Response:
        """Override, veto, pause, or settle the hand-over of a learner; it binds the next decision."""
        asked = (who.tenant, ask.request, learner, who.name, kind, ask.activity, ask.on, ask.why)
        return _said(await turn.write(lambda: desk.say(*asked)))

    @app.post("/stop", responses=wrong)
    async def stop(ask: Stop, who: CoachKey) -> Response:
        """Pause or resume all automation, effective with the next decision."""
        asked = (who.tenant, ask.request, who.name, ask.on, ask.why)
        return _said(await turn.write(lambda: desk.stop(*asked)))

    @app.post("/keys", status_code=201, responses=wrong)
    async def new_key(ask: NewKey, who: AdminKey) -> Response:
        """Make a key for another caller of this tenant; it is shown this once."""
        key = await turn.write(lambda: issue(desk.store, who.tenant, ask.role, ask.name, who.name))
        return _said({"key": key}, 201)

    @app.post("/keys/revoke", responses=wrong)
    async def revoked(ask: OldKey, who: AdminKey) -> Response:
        """Take keys of this tenant back, by their name or one by its id; they open nothing from the next second on."""
        ids = await turn.write(lambda: _revoked(desk, who, ask.key))
        return _said({"revoked": ids})

    @app.get("/verify", responses=wrong)
    async def verify(_: AdminKey, head: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None) -> Response:
        """Check the hash chain of the whole ledger; `fault` is null when every line is as it was written.

        Keep `head` elsewhere: only `head=` against such an anchor tells whether the newest lines were cut off.
        """
        fault, (lines, digest) = desk.store.verify(head), desk.store.head()
        return _said({"fault": fault, "lines": lines, "head": digest})

    page = resources.files("trailmark.experiments.serving").joinpath("console.html").read_text()

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        """Whoever comes without an address is a person."""
        return RedirectResponse("/console")

    @app.get("/console", response_class=HTMLResponse)
    async def console() -> HTMLResponse:
        """The coach console; it asks for a coach's key."""
        rules = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        return HTMLResponse(page, headers={"Content-Security-Policy": rules, "X-Frame-Options": "DENY"})

    doors = [Door("/events", EventAsk, happened, lambda _: None), Door("/decisions", DecisionAsk, chosen, told)]
    return Watch(app, Swift(doors, callers, turn, min(limit, SMALL)), registry, limit, log)


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


def _revoked(desk: Desk, who: Caller, which: str) -> list[str]:
    try:
        return revoke(desk.store, who.tenant, which, who.name)
    except LookupError as error:
        raise MissingError(str(error)) from error


def _said(content: Any, status: int = 200) -> Response:
    return Response(to_json(content), status, media_type="application/json")
