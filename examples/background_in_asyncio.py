"""A worker in the background of a server: requests enqueue, and jobs run on the server's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

from litequeue import Queue, as_completed

queue = Queue("background_in_asyncio.db")


class Client:
    """Stands for a client or a pool of connections, which belongs to the event loop that made it."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(3)

    async def get(self, city: str) -> int:
        async with self._free:
            await asyncio.sleep(0.05)
            return len(city)


app = SimpleNamespace()  # FastAPI(lifespan=lifespan), say


@queue.task(retry=3, timeout=5)
async def weather(city: str) -> str:
    return f"{await app.client.get(city)} degrees in {city}"


@asynccontextmanager
async def lifespan(app: SimpleNamespace) -> AsyncIterator[None]:
    app.client = Client()
    async with queue.aworker(slots=50):
        yield


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    cities = (await reader.readline()).decode().split()
    jobs = await asyncio.gather(*(weather.aenqueue(city) for city in cities))
    async for job in as_completed(jobs, timeout=10):
        writer.write(f"job {job.id}: {await job}\n".encode())
    writer.close()


async def main() -> None:
    async with lifespan(app), await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"Rome Paris Berlin Lisbon\n")
        print((await reader.read()).decode(), end="")
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
