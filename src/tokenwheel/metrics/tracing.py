"""A span around each call of the storage and each message to the feed, for OpenTelemetry.

Names and attributes are those of its semantic conventions for database clients. A span holds what
is done, to which kind of database, and how it ended: never a subject, an id, a token, a statement
or the text of an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from ..session.observers import Observer, StorageCall

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["CallTracer"]


class CallTracer(Observer):
    """Make a span of each call that a manager makes to its storage or its feed.

    The span is the current one while the call lasts, in a worker thread as well.

    Args:
        tracer: makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin_call(self, call: StorageCall) -> Any:
        """Begin a span. Return it, and what ends its being the current one."""
        attributes = {"db.operation.name": call.name}
        if call.system is not None:
            attributes["db.system.name"] = call.system
        span = self._tracer.start_span(
            f"{call.name} {call.by}",
            kind=SpanKind.INTERNAL if call.system is None else SpanKind.CLIENT,
            attributes=attributes,
        )
        return span, context.attach(set_span_in_context(span))

    def end_call(
        self,
        begun: Any,
        call: StorageCall,
        outcome: str,
        seconds: float,
        error: type[BaseException] | None,
    ) -> None:
        """End the span. An error of a client library is named by its class."""
        span, token = begun
        context.detach(token)
        if error is not None:
            named = f"{error.__module__}.{error.__qualname__}".removeprefix("builtins.")
            span.set_attribute("error.type", named if outcome == "error" else outcome)
            span.set_status(StatusCode.ERROR)
        span.end()
