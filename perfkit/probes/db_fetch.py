"""N+1 queries: the page asks once for the list, then once per row."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from perfkit import Probe, count
from perfkit.backends.postgres import Postgres


@dataclass(frozen=True)
class Page:
    """One page of an order list."""

    orders: Annotated[
        int, count("orders on the page", at_most=50_000)
    ] = 200


probe = Probe(
    name="db-fetch",
    title="N+1 queries: the page asks the database once per row",
    backend=Postgres,
    params=Page,
    work={
        "round_trips": "round trips",
        "statements": "statements",
        "rows": "rows",
        "bytes_in": "bytes received",
    },
    cause="round_trips",
)

ORDERS = "SELECT id, buyer FROM orders ORDER BY id"
CUSTOMER = "SELECT name FROM customer WHERE id = %s"
THREADS = 8


@probe.setup
def load(db: Postgres, page: Page) -> None:
    """Store as many customers as orders."""
    for statement in (
        "CREATE TABLE customer (id int PRIMARY KEY, name text)",
        "CREATE TABLE orders (id int PRIMARY KEY, buyer int)",
    ):
        db.connection.execute(statement)
    last = page.orders - 1
    db.connection.execute(
        "INSERT INTO customer SELECT i, 'customer ' || i"
        " FROM generate_series(0, %s) AS i",
        (last,),
    )
    db.connection.execute(
        "INSERT INTO orders SELECT i, (i::bigint * 7919) %% %s"
        " FROM generate_series(0, %s) AS i",
        (page.orders, last),
    )
    db.connection.execute("VACUUM ANALYZE customer, orders")


@probe.naive("one SELECT per order")
def ask_per_row(db: Postgres, page: Page) -> object:
    """Fetch each buyer's name when the loop gets there."""
    answer = []
    for order, buyer in db.connection.execute(ORDERS).fetchall():
        row = db.connection.execute(CUSTOMER, (buyer,)).fetchone()
        answer.append((order, row and row[0]))
    return answer


@probe.wrong_lever(
    "prepared statements",
    why="Parsing was never the cost, and the driver prepares repeated"
    " queries by itself: the page still waits once per row.",
)
def ask_per_row_prepared(db: Postgres, page: Page) -> object:
    """Prepare the inner query from its first use."""
    answer = []
    for order, buyer in db.connection.execute(ORDERS).fetchall():
        row = db.connection.execute(
            CUSTOMER, (buyer,), prepare=True
        ).fetchone()
        answer.append((order, row and row[0]))
    return answer


def open_pool(db: Postgres, page: Page) -> None:
    """Open the pool before the clock starts, as a server would."""
    db.pool(THREADS)


@probe.wrong_lever(
    "8 threads on a pool of 8",
    prepare=open_pool,
    why="Threads let round trips overlap; they send just as many, and"
    " the database, the network and the interpreter still serve each.",
)
def ask_per_row_threaded(db: Postgres, page: Page) -> object:
    """Spread the same questions over eight connections."""

    def ask(buyer: int) -> object:
        with db.pool(THREADS).connection() as connection:
            row = connection.execute(CUSTOMER, (buyer,)).fetchone()
            return row and row[0]

    orders = db.connection.execute(ORDERS).fetchall()
    with ThreadPoolExecutor(THREADS) as threads:
        names = threads.map(ask, [buyer for _, buyer in orders])
        return [
            (order, name)
            for (order, _), name in zip(orders, names, strict=True)
        ]


@probe.fixed("one JOIN for the page")
def ask_once(db: Postgres, page: Page) -> object:
    """Let the database put the rows together."""
    return db.connection.execute(
        "SELECT o.id, c.name FROM orders o"
        " JOIN customer c ON c.id = o.buyer ORDER BY o.id"
    ).fetchall()


@probe.fixed("two queries, the second with = ANY")
def ask_for_all(db: Postgres, page: Page) -> object:
    """Ask for all names at once, as across two services."""
    orders = db.connection.execute(ORDERS).fetchall()
    names = dict(
        db.connection.execute(
            "SELECT id, name FROM customer WHERE id = ANY(%s)",
            ([buyer for _, buyer in orders],),
        ).fetchall()
    )
    return [(order, names[buyer]) for order, buyer in orders]


@probe.fixed(
    "pipeline mode",
    partial=True,
    why="It waits once for all answers, but the server still parses,"
    " plans and runs every statement.",
)
def ask_in_pipeline(db: Postgres, page: Page) -> object:
    """Send every question before reading the first answer."""
    orders = db.connection.execute(ORDERS).fetchall()
    with db.connection.pipeline():
        asked = [
            db.connection.execute(CUSTOMER, (buyer,))
            for _, buyer in orders
        ]
        names = [cursor.fetchone() for cursor in asked]
    return [
        (order, row and row[0])
        for (order, _), row in zip(orders, names, strict=True)
    ]
