"""Sessions and revocations in the tables of a SQL database: what all such databases have in common.

``sql`` reaches a database through SQLAlchemy, and ``django`` through Django. Both use tables of the
same names and columns, so a service of either kind can share them with the other.

- ``protocol`` says what a backend must do: single statements, and how they are carried out.
- ``rows`` turns a session into a row of a table, and back.
- ``storage`` and ``feed`` are all of a storage and a feed but for that.
- ``log_reader`` says how a process follows the table of revocations, ``bookmark`` how far it has
  read, ``gaps`` which positions it still waits for, and ``known`` what it puts back.
- ``limited_threads`` makes blocking calls that end in time.
"""
