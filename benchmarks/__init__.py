"""How fast litequeue is, beside the floors of raw SQLite and beside other queues.

`python -m benchmarks` measures and writes RESULTS.md; `--smoke` only shows that everything still runs, in
seconds and without the network; `--peers` also installs other queues, each into an environment of its own.

    plan        what is measured, how often, and against what
    harness     one round: a fresh directory, a driver's processes, the figures they give
    processes   the processes of a round, and that they end
    measure     rounds interleaved; medians, spread, ratios
    claims      the cost of one claim in files of very different size
    machine     what it ran on
    peers       other queues: how each is installed and driven
    comparison  litequeue and those, measured in the same way
    redis_server  a Redis for the length of one round
    report      the page of results; table: its tables
    drivers/    one small program per queue, all with the same verbs
"""
