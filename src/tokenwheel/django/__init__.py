"""An app for Django: sessions and revocations in whatever ``DATABASES`` names.

List it in ``INSTALLED_APPS`` as ``"tokenwheel.django"``, run Django's ``migrate``, and make a
manager of :class:`~tokenwheel.DjangoStorage` and :class:`~tokenwheel.DjangoFeed`.

- ``models`` has the tables, which ``tokenwheel.sql`` can share, with the ``fields`` that Django
  lacks. ``versions`` looks at the version of the tables.
- ``connections`` opens connections of this library's own. ``shared_connections`` knows when that of
  a test takes their place.
- ``statements`` says in Django's ORM what is done, and ``dialects`` what is particular to a kind of
  database. ``database`` carries it out.
- ``storage`` and ``feed`` are what a manager is given, once ``installed`` has found all ready.
  ``listening`` is how a feed waits for news.

This file imports nothing, since Django imports it before its apps are ready.
"""
