"""OpenTelemetry: one trace from the request through the enqueue to the run, its retries and child jobs.

`headers` carries it; the middleware below is all there is to it.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any

if importlib.util.find_spec("opentelemetry") is None or not importlib.util.find_spec("opentelemetry.sdk"):
    print("OpenTelemetry is not installed here: pip install opentelemetry-sdk")
    sys.exit()

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from litequeue import Call, Queue, Retry, RunningJob, current_job

queue = Queue("opentelemetry_tracing.db")
tracer = trace.get_tracer("litequeue")


@queue.middleware("enqueue")
def carry(call: Call[Any]) -> Call[Any]:
    with tracer.start_as_current_span(f"enqueue {call.task.name}", kind=trace.SpanKind.PRODUCER):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return call.using(headers=headers)


@queue.middleware
def follow(job: RunningJob, call_next: Callable[[], Any]) -> Any:
    caller, kind = propagate.extract(job.headers), trace.SpanKind.CONSUMER
    with tracer.start_as_current_span(f"run {job.task} attempt {job.attempt}", caller, kind):
        return call_next()


@queue.task(retry=Retry(2, intervals=[0]))
def order(number: int) -> None:
    job = current_job()
    if job and job.attempt == 1:
        raise ConnectionError("the shop does not answer")
    mail.enqueue(f"order {number} is on its way")


@queue.task
def mail(text: str) -> None:
    print(text)


def show(spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0) -> None:
    for span in spans:
        if span.context and (span.parent.span_id if span.parent else None) == parent:
            print(f"{'  ' * depth}{span.name}: {span.status.status_code.name}")
            show(spans, span.context.span_id, depth + 1)


if __name__ == "__main__":
    exporter, provider = InMemorySpanExporter(), TracerProvider()  # yours sends them somewhere
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    with tracer.start_as_current_span("POST /orders"):
        order.enqueue(7)
    queue.worker(burst=True).run()
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    print(f"{len(spans)} spans, {len({span.context.trace_id for span in spans if span.context})} trace")
    show(spans)
