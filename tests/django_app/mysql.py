"""The driver of MySQL and MariaDB with which Django is tested: it needs no compiler."""

from __future__ import annotations


def take_pymysql() -> None:
    """Have Django use PyMySQL, which looks like ``mysqlclient`` but for its version."""
    import pymysql

    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()
