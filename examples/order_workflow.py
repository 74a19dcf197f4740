"""An order: reserve, charge, then ship and mail together; if paying fails, the item is put back."""

from litequeue import Job, Queue, Retry, group

queue = Queue("orders.db")
stock = {"lamp": 3, "chair": 1}


@queue.task
def release(item: str) -> None:
    stock[item] += 1


@queue.task
def reserve(item: str) -> str:
    stock[item] -= 1
    return item


@queue.task(retry=Retry(2, base=0.05))
def charge(item: str, card: str) -> str:
    if card == "stolen":
        raise PermissionError(f"the bank refuses to pay for the {item}")
    return f"receipt for one {item}"


@queue.task
def ship(receipt: str) -> str:
    return f"parcel with the {receipt}"


@queue.task
def mail(receipt: str) -> str:
    return f"mail with the {receipt}"


@queue.task
def close(sent: list[str]) -> str:
    return " and ".join(sent)


def main() -> None:
    orders: list[Job[str]] = []
    for item, card in (("lamp", "1234"), ("chair", "stolen")):
        pay = charge.using(on_failure=release.call(item)).call(card=card)  # the item comes from `reserve`
        sent = group([ship.call(), mail.call()])  # each gets the receipt
        orders.append((reserve.call(item) | pay | sent | close).enqueue())
    with queue.worker(threads=2):
        for job in orders:
            state = job.wait(timeout=10)
            print(f"job {job.id}: {job.result() if state == 'completed' else job.explain()}")
        for job in queue.jobs(task=release):
            job.wait(timeout=10)
    print("in stock:", stock)


if __name__ == "__main__":
    main()
