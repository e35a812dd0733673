"""The command that serves a model over HTTP."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from motet.cli.terminal import print_result, say
from motet.errors import RunError

if TYPE_CHECKING:
    from motet.answering import Answering

__all__ = ["serve"]

Whole: TypeAlias = Annotated[int | None, typer.Option(metavar="N")]
Seconds: TypeAlias = Annotated[float | None, typer.Option(metavar="SECONDS")]


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model, a run or an ONNX export.")],
    host: Annotated[
        str, typer.Option(envvar="MOTET_SERVE_HOST", help="Where to listen; 0.0.0.0 for all of the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="MOTET_SERVE_PORT", help="0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clients must send the token in this file; or set MOTET_SERVE_TOKEN."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            envvar="MOTET_SERVE_ALLOW_HOST",
            help="A name that requests may be sent to, besides this machine's own; may be given several times.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    onnx: Annotated[bool, typer.Option("--onnx", help="Refuse a model that is not exported to ONNX.")] = False,
    access_log: Annotated[bool, typer.Option("--access-log", help="Write a line for every request.")] = False,
    max_batch_tokens: Whole = None,
    max_wait: Seconds = None,
    max_queue: Whole = None,
    max_inputs: Whole = None,
    max_characters: Whole = None,
    max_body: Whole = None,
    header_timeout: Seconds = None,
    body_timeout: Seconds = None,
    request_timeout: Seconds = None,
) -> None:
    """Answer texts over HTTP, all tasks in one pass.

    The address is printed on one line; a page to try all tasks is there. Limits can also be set in the environment,
    --max-inputs as MOTET_SERVE_MAX_INPUTS. Ctrl-C answers what was accepted and stops.
    """
    _require_extra()
    from motet.serving.admission import LOOPBACK, host_names
    from motet.serving.limits import Limits
    from motet.serving.running import address, is_loopback, listen, run

    flags: dict[str, Any] = {
        "max_batch_tokens": max_batch_tokens,
        "max_wait": max_wait,
        "max_queue": max_queue,
        "max_inputs": max_inputs,
        "max_characters": max_characters,
        "max_body": max_body,
        "header_timeout": header_timeout,
        "body_timeout": body_timeout,
        "request_timeout": request_timeout,
    }
    limits, token, allowed = Limits.read(flags), _token(token_file), host_names(allow_host or ())
    with closing(listen(host, port)) as listener:
        from motet.serving.server import create_app

        hosts = [*LOOPBACK, host, *allowed] if allowed or is_loopback(listener) else []
        named = model.resolve().name
        app = create_app(_loaded(model, device, onnx), limits=limits, token=token, name=named, hosts=hosts)
        if not token and not is_loopback(listener):
            say("warning: whoever reaches this machine can use the model. --token-file asks for a token.")
        print_result(address(listener))
        stopped_by = run(app, listener, limits, access_log=access_log)
    if stopped_by == signal.SIGINT:
        raise typer.Exit(130)


def _require_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise RunError(f"serving needs the package {error.name}. Run `pip install 'motet[serve]'`.") from error


def _token(file: Path | None) -> str:
    """The token that clients must send; empty for none.

    Raises:
        RunError: the file cannot be read, or the token is none that a header can hold.
    """
    token = os.environ.get("MOTET_SERVE_TOKEN", "")
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{file} cannot be read: {error}.") from error
        if not token:
            raise RunError(f"{file} is empty, but it should hold a token.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise RunError("the token must be printable ASCII without spaces.")
    return token


def _loaded(folder: Path, device: str, onnx: bool) -> Answering:
    import torch

    from motet.answering import answerable
    from motet.serving.opening import open_model

    if device not in ("auto", "cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise RunError(f"device {device} is not on this machine. Use auto, cpu or cuda.")
    model = open_model(folder, "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu", onnx=onnx)
    if not answerable(model.tasks):
        raise RunError(f"{folder} has no task that answers texts, so there is nothing to serve.")
    return model
