"""What the project tests of itself, by Django's own classes for tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from tokenwheel import AccessTokenRevoked, InvalidAccessToken, StorageUnavailable
from tokenwheel.django.models import Revocation, Session

from .sessions import async_manager, manager

IS_IN_MEMORY = connection.vendor == "sqlite"


class EachInOneTransaction(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        User.objects.create(username="bob")
        cls.of_bob = manager.create({}, subject="bob").access_token

    def test_what_the_class_has_written_is_there(self) -> None:
        assert Session.objects.filter(subject="bob").count() == 1
        assert set(manager.read_all("bob")) == {manager.read(self.of_bob)["sid"]}

    def test_a_logout_holds_1(self) -> None:
        assert Session.objects.exclude(subject="bob").count() == 0
        token = manager.create({}, subject="ann").access_token
        assert manager.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)
        assert Session.objects.exclude(subject="bob").count() == 0
        assert Revocation.objects.count() == 1
        manager.create({}, subject="cid")

    test_a_logout_holds_2 = test_a_logout_holds_1  # with what the first has left rolled back

    def test_views_use_the_transaction_of_the_test(self) -> None:
        token = self.client.post("/sign-up", {"name": "ann"}).content.decode()
        assert manager.read(token)
        assert self.client.post("/log-out", {"name": "ann"}).content == b"1"
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)

    def test_a_failed_call_spoils_nothing(self) -> None:
        manager.create({}, subject="ann")
        row = Session.objects.filter(subject="ann").values().get()
        with pytest.raises(IntegrityError), transaction.atomic():
            Session.objects.create(**row)
        assert manager.delete_all("ann") == 1

    async def test_an_async_manager_uses_it_from_its_threads(self) -> None:
        token = (await async_manager.create({}, subject="ann")).access_token
        assert await Session.objects.filter(subject="ann").acount() == 1
        assert await async_manager.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            async_manager.read(token)

    async def test_an_async_view_uses_it(self) -> None:
        user = await User.objects.acreate(username="ann")
        await async_manager.create({}, subject=str(user.pk))
        response = await self.async_client.post("/log-out-async", {"name": "ann"})
        assert response.content == b"1"


class NoDatabase(SimpleTestCase):
    def test_the_database_is_as_forbidden_as_it_is_to_the_test(self) -> None:
        with pytest.raises(StorageUnavailable, match="DatabaseOperationForbidden"):
            manager.create({}, subject="ann")

    def test_a_token_can_be_read(self) -> None:
        with pytest.raises(InvalidAccessToken):
            manager.read("no token")
        assert not manager.revocations.is_revoked("A" * 16)


class EachCommitted(TransactionTestCase):
    def test_the_tables_were_emptied_1(self) -> None:
        assert Session.objects.count() == 0
        token = manager.create({}, subject="ann").access_token
        assert manager.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)
        manager.create({}, subject="ann")

    test_the_tables_were_emptied_2 = test_the_tables_were_emptied_1

    def test_a_logout_holds_though_the_transaction_is_rolled_back(self) -> None:
        manager.create({}, subject="ann")
        with transaction.atomic():
            User.objects.create(username="ann")
            manager.delete_all("ann")
            transaction.set_rollback(True)
        assert User.objects.count() == 0
        # SQLite in memory has but one connection.
        assert Session.objects.count() == (1 if IS_IN_MEMORY else 0)

    async def test_an_async_manager_works(self) -> None:
        token = (await async_manager.create({}, subject="ann")).access_token
        assert await async_manager.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            async_manager.read(token)
