"""The routes of a server: predictions, health, metrics, a page to try all tasks, and their description as OpenAPI."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from motet.errors import nearest
from motet.serving import pages
from motet.serving.admission import Hosts, guard, host_names
from motet.serving.limits import Limits
from motet.serving.monitoring import Monitor, Watched
from motet.serving.passes import Predictor
from motet.serving.refusals import Refusal, shown
from motet.serving.request_schemas import reference
from motet.serving.schemas import components, described, errors, json_of, paths
from motet.serving.service import Service

__all__ = ["create_app"]

_VERSION = importlib.metadata.version("motet")
_ROUTES = ("/", "/docs", "/health", "/info", "/metrics", "/openapi.json", "/predict", "/predict/TASK", "/ready")
_DRAINED = 8  # times the largest body are read on, so that a client that is still sending sees why it is refused


def create_app(
    predictor: Predictor,
    *,
    limits: Limits | None = None,
    token: str = "",
    name: str = "",
    hosts: Sequence[str] = (),
) -> FastAPI:
    """An ASGI application that serves a model.

    Args:
        predictor: a `motet.MultiTaskModel`, or another that answers texts as it does; the application owns it.
        limits: on requests and batches.
        token: what clients must send as ``Authorization: Bearer ...``; empty for nothing.
        name: how the model is called.
        hosts: names that requests may be sent to, without ports; others are refused. Any, where there is none.

    Raises:
        ValueError: the model has no task that answers texts.
        RunError: one of the hosts is no name.

    Example:
        >>> import motet
        >>> app = create_app(motet.load("runs/first"), name="first")  # doctest: +SKIP
    """
    service = Service(predictor, limits or Limits(), Monitor())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="motet",
        generate_unique_id_function=lambda route: route.name,
        version=_VERSION,
        lifespan=lifespan,
        docs_url=None,  # the pages of FastAPI load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    _refuse_in_one_shape(app)
    _add_open_routes(app, service)
    _add_docs(app, token)
    guards = [Depends(guard(token)), Depends(HTTPBearer(auto_error=False))] if token else []
    _add_routes(app, service, name, guards)
    if hosts:
        app.add_middleware(Hosts, names=host_names(hosts))
    app.add_middleware(Watched, monitor=service.monitor)
    app.openapi = lambda: _openapi(app, service, bool(token))  # type: ignore[method-assign]
    return app


def _add_open_routes(app: FastAPI, service: Service) -> None:
    """What needs no token: whether the process lives, whether it is ready, and a page that knows nothing yet."""

    @app.get("/", include_in_schema=False)
    async def try_page() -> Response:
        return pages.response("try.html")

    @app.get("/health", summary="Whether the process lives; never waits", responses=_status("ok"))
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/ready", summary="Whether requests are answered", responses={**_status("ready"), **_keyed(errors("not_ready"))}
    )
    async def ready() -> Response:
        service.require_ready()
        return JSONResponse({"status": "ready"})


def _add_docs(app: FastAPI, token: str) -> None:
    """The routes to read; a browser cannot send a token at once, so it gets a page that asks for it."""
    check = guard(token)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        try:
            await check(request)
        except Refusal as refusal:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return pages.response("locked.html", refusal.status, refusal.headers)
        return pages.response("docs.html.j2", api=app.openapi())


def _add_routes(app: FastAPI, service: Service, name: str, guards: list[Any]) -> None:
    """What needs the token, if there is one."""
    refused = _keyed(errors("unauthorised")) if guards else {}
    plain = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refused}
    whole = {200: {"content": json_of(reference("Info"))}, **refused}

    @app.post("/predict", include_in_schema=False, dependencies=guards)
    async def predict(request: Request) -> Response:
        return await _predicted(service, request, None)

    @app.post("/predict/{task}", include_in_schema=False, dependencies=guards)
    async def predict_one(request: Request, task: str) -> Response:
        return await _predicted(service, request, task)

    @app.get("/info", summary="The model, its tasks and the limits", responses=whole, dependencies=guards)
    async def info() -> Response:
        facts = {"motet": _VERSION, "model": name, "max_length": service.max_length, "token": bool(guards)}
        return JSONResponse({**facts, "tasks": described(service.tasks), "limits": vars(service.limits)})

    @app.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=PlainTextResponse,  # else the description would say JSON too
        responses=plain,
        dependencies=guards,
    )
    async def metrics(request: Request) -> Response:
        content, content_type = service.monitor.page(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type})

    @app.get("/openapi.json", include_in_schema=False, dependencies=guards)
    async def openapi() -> Response:
        return JSONResponse(app.openapi())


def _status(word: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "object", "properties": {"status": {"const": word}}, "required": ["status"]}
    return {200: {"content": json_of(schema)}}


def _keyed(responses: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {int(status): response for status, response in responses.items()}


def _openapi(app: FastAPI, service: Service, guarded: bool) -> dict[str, Any]:
    """The description: FastAPI's own, and the routes that answer as the tasks make them."""
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    answering = paths(service.tasks)
    for path in answering.values():
        if guarded:
            path["post"]["security"] = [{"HTTPBearer": []}]
        else:
            del path["post"]["responses"]["401"]
    found["paths"].update(answering)
    found.setdefault("components", {})["schemas"] = components(service.tasks)
    return found


async def _predicted(service: Service, request: Request, only: str | None) -> Response:
    try:
        service.require_ready()
        service.tasks_of(only)
        body = await _body(request, service.limits)
        content = await service.answer(body, only, lambda: _gone(request))
    except ClientDisconnect:
        service.monitor.dropped()
        return Response(status_code=400)  # nobody sees it
    return Response(content, media_type="application/json")


async def _body(request: Request, limits: Limits) -> bytes:
    """The body of a request, received in time and within its size."""
    try:
        body, size = await asyncio.wait_for(_received(request, limits.max_body), limits.body_timeout)
    except asyncio.TimeoutError:
        error = f"The body was not there within {limits.body_timeout:g} seconds."
        raise Refusal("too_slow", error, "Send it faster, or in smaller parts.", {"Connection": "close"}) from None
    if size > limits.max_body:
        hint = "Send fewer or shorter texts at a time."
        raise Refusal("too_large", f"The body has more than {limits.max_body} bytes.", hint, {"Connection": "close"})
    return body


async def _received(request: Request, most: int) -> tuple[bytes, int]:
    """So many bytes of a body, and how many have come."""
    body, size = bytearray(), 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            body.extend(part)
        elif size > _DRAINED * most:
            break
    return bytes(body), size


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refuse_in_one_shape(app: FastAPI) -> None:
    """Give every error the same body, those of the framework included."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        path = shown(request.url.path)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            told = Refusal("wrong_method", f"{path} takes no {request.method}.", f"It takes {allowed}.")
        else:
            told = Refusal("unknown_route", f"There is no route {path}.", nearest(request.url.path, _ROUTES))
        return JSONResponse(told.body, told.status, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        told = Refusal("failed", "The server failed on this request.", "The log of the server says why.")
        return JSONResponse(told.body, told.status)
