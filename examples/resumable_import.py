"""An import that is killed in the middle, and goes on where it was: finished steps are not done again."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from sqlite3 import Connection

from litequeue import Queue, current_job

queue = Queue("resumable_import.db")
PARTS = 5
kill_in_part = sys.argv[1] if len(sys.argv) > 1 else None


def download(url: str) -> list[str]:
    print(f"  downloads {url}", flush=True)
    return [f"row {number}" for number in range(1000)]


def store(connection: Connection, part: int, rows: list[str]) -> int:
    """The rows of a part and the step's result: both are in the file afterwards, or neither."""
    connection.executemany("INSERT INTO imported VALUES (?, ?)", [(part, row) for row in rows])
    print(f"  stores part {part}", flush=True)
    if str(part) == kill_in_part:
        os.kill(os.getpid(), signal.SIGKILL)  # the machine is out of memory, the deploy is impatient …
    return len(rows)


@queue.task
def import_file(url: str) -> int:
    job = current_job()
    assert job is not None
    rows = job.step("download", download, url)
    size = len(rows) // PARTS
    return sum(
        job.step(f"part {part}", store, part, rows[part * size :][:size], transaction=True)
        for part in range(PARTS)
    )


def main() -> None:
    with queue.transaction() as connection:
        connection.execute("DROP TABLE IF EXISTS imported")
        connection.execute("CREATE TABLE imported (part INTEGER, row TEXT)")
        job = import_file.enqueue("https://example.org/rows.csv")
    for kill_in in ("2", "none"):
        print("a worker starts", flush=True)
        ended = subprocess.run([sys.executable, Path(__file__), kill_in], check=False)
        print("it was killed" if ended.returncode == -signal.SIGKILL else "it has finished")

    print(f"{job.result(timeout=10)} rows after {job.attempt} attempts; the steps, and their attempts:")
    print({step.name: step.attempt for step in job.steps})
    with queue.transaction() as connection:
        print("rows in the table:", connection.execute("SELECT count(*) FROM imported").fetchone()[0])


if __name__ == "__main__":
    queue.worker(burst=True).run() if kill_in_part else main()
