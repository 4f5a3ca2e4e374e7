"""``manage.py tokenwheel_sessions``: list, end and count the sessions of the running site.

It has the options of ``tokenwheel sessions`` but for a refresh token: Django's parser prints what
it doesn't understand.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ....errors import TokenwheelError
from ....session.operator_text import (
    counts_in_words,
    end_in_words,
    hide_dash,
    sessions_in_words,
)
from ...site import call_blocking, open_operator

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc]
    """List, end and count sessions."""

    help = "List, end and count the sessions of the running site."
    # A session can be ended while something else of the site is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what the command takes."""
        kinds = parser.add_subparsers(required=True, metavar="COMMAND", dest="kind")
        every = kinds.add_parser("list", help="show the sessions of a subject")
        every.add_argument("subject")
        end = kinds.add_parser(
            "end",
            help="end one session of a subject, or all: "
            "every worker refuses their tokens from then on",
        )
        end.add_argument("subject")
        which = end.add_mutually_exclusive_group(required=True)
        which.add_argument("session", nargs="?", metavar="SESSION", help="its id")
        which.add_argument("--all", action="store_true", help="all of the subject's")
        count = kinds.add_parser("count", help="count the sessions and the revocations that live")
        for command in (every, end):
            command.add_argument(
                "--issuer",
                help="only the service whose managers have this issuer; by default every one",
            )
        for command in (every, end, count):
            command.add_argument(
                "--using",
                metavar="ALIAS",
                help="the database of DjangoStorage and DjangoFeed; "
                "by default what the setting TOKENWHEEL names",
            )
            command.add_argument("--json", action="store_true", help="for a program to read")

    def create_parser(self, *arguments: Any, **options: Any) -> CommandParser:
        """Return a parser that takes no session id for an option, should it begin with a dash."""
        parser = super().create_parser(*arguments, **options)
        parse = parser.parse_args
        parser.parse_args = lambda args: parse([hide_dash(word) for word in args])
        return parser

    def handle(self, *_: Any, kind: str, **options: Any) -> None:
        """Carry out one of the three commands.

        Raises:
            CommandError: it could not be done, or there is no such session.
        """
        carry_out = {"list": self._list, "end": self._end, "count": self._count}[kind]
        try:
            call_blocking(lambda: carry_out(options))
        except TokenwheelError as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        with open_operator(options["using"], options["issuer"]) as operator:
            sessions = operator.read_all(options["subject"])
        self.stdout.write(sessions_in_words(sessions, as_json=options["json"]))

    def _end(self, options: dict[str, Any]) -> None:
        subject, session_id = options["subject"], options["session"]
        with open_operator(options["using"], options["issuer"]) as operator:
            if options["all"]:
                ended = operator.end_all(subject)
            else:
                ended = operator.end_one(subject, session_id.strip())
        none = f"the subject has no session{'' if options['all'] else ' of this id'}"
        if not ended and not options["all"]:
            raise CommandError(none)
        self.stdout.write(end_in_words(ended, none, as_json=options["json"]))

    def _count(self, options: dict[str, Any]) -> None:
        with open_operator(options["using"]) as operator:
            counts = operator.count()
        self.stdout.write(counts_in_words(counts, as_json=options["json"]))
