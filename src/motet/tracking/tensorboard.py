"""TensorBoard: event files in the folder `tensorboard` of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet.tracking.sink import Opening, Sink, Status

__all__ = ["TensorBoard"]


class TensorBoard(Sink):
    """Writes scalars to `RUN/tensorboard`; look at them with `tensorboard --logdir runs`.

    A resumed run begins another file there, whose first entry tells TensorBoard from which step on older ones no longer
    count.

    Example:
        >>> TensorBoard().name
        'tensorboard'
    """

    name = "tensorboard"
    package = "tensorboard"

    def open(self, opening: Opening) -> dict[str, str]:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = "tensorboard"
        self._writer: Any = EventFileWriter(str(opening.run.path / folder))
        if opening.known:
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(step=opening.step + 1, session_log=start))
        return {"folder": folder}

    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in points.items()]
        self._writer.add_event(Event(wall_time=moment, step=step, summary=Summary(value=values)))

    def close(self, status: Status) -> None:
        self._writer.close()
