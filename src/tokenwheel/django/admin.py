"""The page of Django's admin that lists the sessions of a user, and ends one, some or all.

It changes no row itself. A session ends through the site's manager, so that its tokens are refused
at once and every process hears of it. Nobody can add a session or change one, and no hash is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.functional import cached_property
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..errors import TokenwheelError
from ..seconds import wall_time
from ..session.operator import Operator
from .models import Session
from .search import matches
from .shown import SHOWN
from .site import alias_of_site, call_blocking, open_operator

__all__ = ["SessionAdmin"]

_MOST = 500  # sessions that a list holds: Django's forms take 1,000 fields
_READ = ("id", "subject", "issuer", "created_at", "last_used_at", "ends_at", "context")
End = Callable[[Operator, Sequence[Session]], object]


class _Pages(Paginator):  # type: ignore[misc]
    """Pages of the first sessions. So a table of millions is never counted."""

    @cached_property  # type: ignore[untyped-decorator]
    def count(self) -> int:
        """How many sessions the pages hold."""
        return len(self.object_list.values_list("pk", flat=True)[:_MOST])


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """List sessions, and end them as whoever may delete them."""

    list_display = ("subject", *SHOWN)
    fields = ("id", "subject", "issuer", *SHOWN)
    readonly_fields = fields
    ordering = ("-ends_at",)
    search_fields = ("subject_hash",)  # What is searched is in search.py.
    search_help_text = format_lazy(
        _(
            "A subject or a user name, exactly as it is; or a session id. "
            "Without any, the sessions that last longest are listed, {most} at most."
        ),
        most=_MOST,
    )
    paginator = _Pages
    list_max_show_all = _MOST
    show_full_result_count = False
    # The first takes the place of Django's own, which would delete rows.
    actions = ("delete_selected", "end_all")

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the pages. No transaction is open where a session ends.

        What has ended must not come back with a transaction. And SQLite has no second writer.
        """
        patterns: list[URLPattern] = super().get_urls()
        for pattern in patterns:
            for alias in settings.DATABASES:
                pattern.callback = non_atomic_requests(using=alias)(pattern.callback)
        return patterns

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the sessions that live, where the site's manager keeps them."""
        listed = super().get_queryset(request)
        alias = alias_of_site()
        listed = listed if alias is None else listed.using(alias)
        return listed.filter(ends_at__gt=int(wall_time())).only(*_READ)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Return the sessions of a subject, and False: none of them twice."""
        return (queryset.filter(matches(request, search_term)) if search_term else queryset), False

    def get_sortable_by(self, request: HttpRequest) -> Sequence[str]:
        """Return the columns to sort by. Without a subject the table may have millions of rows."""
        return self.list_display if request.GET.get("q") else ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse to filter by columns in the address: a hash could be found out by its digits."""
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: sessions begin by a login."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Return False: sessions are changed by a manager alone."""
        return False

    @admin.action(permissions=["delete"], description=_("End the selected sessions"))  # type: ignore[untyped-decorator]
    def delete_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        """End sessions that were selected, once that is confirmed."""
        return self._end(request, list(queryset[:_MOST]), _end_each, "delete_selected")

    @admin.action(permissions=["delete"], description=_("End all sessions of the same subjects"))  # type: ignore[untyped-decorator]
    def end_all(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        """End every session of the subjects of those selected, once that is confirmed."""
        hashes = set(queryset.values_list("subject_hash", flat=True)[:_MOST])
        sessions = self.get_queryset(request).filter(subject_hash__in=hashes)
        return self._end(request, list(sessions), _end_all, "end_all")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """End one session, once that is confirmed."""
        session = self.get_object(request, unquote(object_id))
        if not self.has_delete_permission(request, session):
            raise PermissionDenied
        if session is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        page = self._end(request, [session], _end_each)
        return HttpResponseRedirect(self._list_url()) if page is None else page

    def _end(
        self, request: HttpRequest, sessions: list[Session], end: End, action: str = ""
    ) -> HttpResponse | None:
        """End sessions, or return the page that asks whether to do so."""
        if request.method != "POST" or request.POST.get("post") != "yes":
            return self._confirmation(request, sessions, action)
        listed = self.get_queryset(request)

        def act() -> None:
            with open_operator(listed.db) as operator:
                end(operator, sessions)

        try:
            call_blocking(act)
        except TokenwheelError as error:
            failed = _("Some sessions could not be ended: %(error)s") % {"error": error}
            self.message_user(request, failed, messages.ERROR)
        left = set(listed.filter(pk__in=[session.pk for session in sessions]).values_list("pk"))
        ended = [session for session in sessions if (session.pk,) not in left]
        self.log_deletions(request, ended)
        self.message_user(
            request,
            ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", len(ended))
            % {"count": len(ended)},
            messages.SUCCESS if ended else messages.WARNING,
        )
        return None

    def _confirmation(
        self, request: HttpRequest, sessions: list[Session], action: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("End sessions"),
            "opts": self.opts,
            "media": self.media,
            "action": action,
            "list_url": self._list_url(),
            "rows": [(session, [column(session) for column in SHOWN]) for session in sessions],
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/tokenwheel/session/end_sessions.html", context)

    def _list_url(self) -> str:
        opts = self.opts
        name = f"admin:{opts.app_label}_{opts.model_name}_changelist"
        return str(reverse(name, current_app=self.admin_site.name))


def _end_each(operator: Operator, sessions: Sequence[Session]) -> None:
    for session in sessions:
        operator.end_one(session.subject, session.pk)


def _end_all(operator: Operator, sessions: Sequence[Session]) -> None:
    for subject in {session.subject for session in sessions}:
        operator.end_all(subject)
