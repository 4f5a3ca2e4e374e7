"""The views of the tests' project that are of Django REST framework."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.serializers import CharField, Serializer
from rest_framework.views import APIView

from tests.web import django_project
from tokenwheel import TooManySessions
from tokenwheel.web.django import context_of, require_claims, signed_in
from tokenwheel.web.drf import HasScopes, SessionAuthentication, exception_handler


class Answered(Serializer):  # type: ignore[misc]
    user = CharField()


class Me(APIView):  # type: ignore[misc]
    permission_classes = (IsAuthenticated,)
    serializer_class = Answered

    def get(self, request: Any) -> Response:
        return Response(
            {
                "auth": request.auth.subject,
                "user": str(request.user),
                "pk": request.user.pk,
                "claims": request.claims.subject,
            }
        )

    post = get


class Who(Me):
    def get(self, request: Any) -> Response:
        return Response({"user": str(request.user)})

    post = get


class Open(Who):
    permission_classes = (AllowAny,)


class Login(APIView):  # type: ignore[misc]
    permission_classes = (AllowAny,)
    serializer_class = Answered

    def post(self, request: Any) -> HttpResponse:
        manager = django_project.auth.gate.manager
        return signed_in(request, manager.create(subject="ann", context=context_of(request)))


class Scoped(Who):
    permission_classes = (HasScopes,)
    required_scopes = ("admin",)


class ScopedByClass(Who):
    permission_classes = (HasScopes("admin"),)


class IsRoot(BasePermission):  # type: ignore[misc]
    def has_permission(self, request: Any, view: Any) -> bool:
        return str(request.user) == "root"


class Either(Who):
    permission_classes = (HasScopes("admin") | IsRoot,)


class Forgotten(Who):
    permission_classes = (HasScopes,)


class Full(Me):
    def get(self, request: Any) -> Response:
        raise TooManySessions("ann has 3 sessions, and may have 3")


class FullHandled(Full):
    def post(self, request: Any) -> Response:
        User.objects.create(username="half done")
        return self.get(request)

    def get_exception_handler(self) -> Any:
        return exception_handler


class BasicFirst(Me):
    authentication_classes = (BasicAuthentication, SessionAuthentication)


class Missing(Me):
    def get(self, request: Any) -> Response:
        raise Http404


class Fresh(Who):
    @method_decorator(require_claims(max_age=300))
    def get(self, request: Any) -> Response:
        return Response({"user": request.claims.subject})


class MayWrite(BasePermission):  # type: ignore[misc]
    def has_permission(self, request: Any, view: Any) -> bool:
        return request.method == "GET" or HasScopes("admin")().has_permission(request, view)


class Browsable(Who):
    permission_classes = (IsAuthenticated, MayWrite)


urlpatterns = [
    path("basic-first", BasicFirst.as_view()),
    path("browsable", Browsable.as_view()),
    path("either", Either.as_view()),
    path("forgotten", Forgotten.as_view()),
    path("fresh", Fresh.as_view()),
    path("full", Full.as_view()),
    path("full-handled", FullHandled.as_view()),
    path("login", Login.as_view()),
    path("me", Me.as_view()),
    path("missing", Missing.as_view()),
    path("open", Open.as_view()),
    path("scoped", Scoped.as_view()),
    path("scoped-by-class", ScopedByClass.as_view()),
    path("who", Who.as_view()),
]
