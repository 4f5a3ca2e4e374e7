"""What a trial has shown, in words: who did what when, and what befell in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .journal import Birth, Call, Event, Records
from .judge import Breach

_MOST_EVENTS = 15  # that are told with a breach: the last ones before it


def describe_first(breaches: Sequence[Breach], records: Records) -> Iterator[str]:
    """Yield, in words, the first breach of each kind that befell a session."""
    told: set[tuple[str, str]] = set()
    for breach in breaches:
        about = breach.guarantee, breach.session_id
        if about not in told:
            told.add(about)
            yield describe(breach, records)


def describe(breach: Breach, records: Records) -> str:
    """Return the shortest evidence of a breach, in lines. Times are seconds since the start."""
    start = records.calls[0].begun
    last = max(call.ended or call.begun for call in breach.calls)
    events = [event for event in records.events if event.begun <= last]
    lines = [(call.begun, _tell_call(call, start)) for call in breach.calls]
    lines += [(event.begun, _tell_event(event, start)) for event in events[-_MOST_EVENTS:]]
    for name in {call.node for call in breach.calls}:
        birth = records.births[name]
        lines.append((birth.ready, _tell_birth(birth, start)))
    title = f"[{breach.guarantee}] {breach.what}: session {breach.session_id}"
    return "\n".join([title, *(line for _, line in sorted(lines))])


def summarise(counts: Counter[str]) -> Iterator[str]:
    """Yield a line for each kind of thing that was counted."""
    for name in ("logouts", "reads after logouts", "stale beyond the promise", "unanswered"):
        yield f"{name}: {counts[name]:,}"
    for kind in ("action", "call", "raised"):
        parts = [
            f"{name.removeprefix(kind).strip()} {count:,}"
            for name, count in sorted(counts.items())
            if name.startswith(f"{kind} ")
        ]
        yield f"{kind}: {', '.join(parts)}"


def _tell_call(call: Call, start: float) -> str:
    ended = "never" if call.ended is None else f"{call.ended - start:.6f}"
    ahead = f" (its clock {call.ahead} s ahead)" if call.ahead else ""
    about = " ".join(filter(None, [call.subject, call.presented]))
    answer = f" {call.answer}" if call.answer and call.method != "read_all" else ""
    return (
        f"  {call.begun - start:.6f} to {ended}: "
        f"{call.node}{ahead}: {call.method}({about}): {call.outcome}{answer}"
    )


def _tell_event(event: Event, start: float) -> str:
    times = f"{event.begun - start:.6f} to {event.ended - start:.6f}"
    return f"      {times}: {event.kind} {event.about}"


def _tell_birth(birth: Birth, start: float) -> str:
    when_stale = "refuses" if birth.refuses else "accepts"
    how = f"{birth.how}, {when_stale} when stale"
    return f"      {birth.ready - start:.6f}: {birth.node} is ready ({how})"
