"""A row and its jobs in one transaction: with sqlite3, and with SQLAlchemy and Django if they are here."""

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from litequeue import Queue

queue = Queue("shop.db")


@queue.task
def charge(order: str) -> str:
    return f"receipt for {order}"


@queue.task
def mail(receipt: str) -> None:
    """Send the receipt."""


@contextmanager
def transaction(name: str) -> Iterator[sqlite3.Connection]:
    """The raw connection of each library, inside a transaction that the library ends."""
    if name == "sqlalchemy":
        from sqlalchemy import create_engine  # type: ignore[import-not-found]

        with create_engine("sqlite:///shop.db").begin() as wrapped:
            yield wrapped.connection.driver_connection
    elif name == "django":
        from django.conf import settings
        from django.db import connection, transaction

        if not settings.configured:
            engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}
            settings.configure(DATABASES={"default": engine})
        with transaction.atomic():
            yield connection.connection
    else:
        with closing(sqlite3.connect("shop.db")) as plain, plain:
            yield plain


def place(name: str, *, fails: bool) -> None:
    with transaction(name) as connection:
        connection.execute("INSERT INTO orders VALUES (?)", (name,))
        charge.using(connection=connection).call(name).then(mail).enqueue()  # two jobs
        if fails:
            raise ValueError("the customer has left")


with queue.transaction() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS orders (name TEXT)")
for name in filter(importlib.util.find_spec, ("sqlite3", "sqlalchemy", "django")):
    with suppress(ValueError):
        place(name, fails=True)  # rolled back, with both jobs
    place(name, fails=False)
    print(f"{name}: {sum(queue.counts().values())} jobs in all")
