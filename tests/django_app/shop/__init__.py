"""A Django project with sessions in its database, and tests of its own (``cases.py``)."""
