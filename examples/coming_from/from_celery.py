"""Celery's first steps and its canvas, ported: add, chains, groups, chords, a retry and a schedule."""

from threading import Event

from litequeue import Queue, RetryLater, current_job, group

ticked = Event()
app = Queue("celery.db")  # Celery("tasks", broker="redis://", backend="redis://")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def mul(x: int, y: int) -> int:
    return x * y


@app.task
def xsum(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(retry=3)  # max_retries=2 there: every attempt counts here
def divide(x: int, y: int) -> float:
    if job := current_job():  # bind=True and self; None when it is simply called
        job.progress(0.5, "about to divide")  # self.update_state(…)
    try:
        return x / y
    except ZeroDivisionError as error:
        raise RetryLater(0.1) from error  # self.retry(exc=error, countdown=0.1)


@app.task(every=0.2)  # beat_schedule there; here every worker keeps time, and no job is made twice
def tick() -> None:
    ticked.set()


def main() -> None:
    result = add.delay(4, 4)  # the same there
    late = add.using(delay=0.1, queue="slow").enqueue(
        2, 2
    )  # apply_async((2, 2), countdown=0.1, queue="slow")
    chain = (add.call(4, 4) | mul.call(8) | mul.call(10)).enqueue()  # add.s(4, 4) | mul.s(8) | mul.s(10)
    many = group(add.call(i, i) for i in range(10)).enqueue()
    chord = (group(add.call(i, i) for i in range(10)) | xsum.call()).enqueue()
    failed = divide.enqueue(1, 0)
    with app.worker(queues=["default", "slow"], threads=4):  # celery -A tasks worker -c 4 -Q default,slow -B
        print(result.result(timeout=10), late.result(timeout=10))  # result.get(timeout=10)
        print(chain.result(timeout=10), many.result(timeout=10), chord.result(timeout=10))
        print(xsum.chunks(range(100), 50).enqueue().result(timeout=10))  # each call takes a list of 50
        print(failed.wait(timeout=10), "after", failed.failures, "tries,", failed.errors[-1].message)
        print("ticked:", ticked.wait(timeout=10))


if __name__ == "__main__":
    main()
