"""How fast litequeue is, beside the floors of raw SQLite and beside other queues.

`python -m benchmarks` measures everything that has a goal and writes RESULTS.md, results.json and the plots;
`--only WORD` measures the rows whose name has that word in it, and writes nothing; `--smoke` is the guard of
the gate: a minute, without the network, and it fails where a goal is missed by far; `--peers` also installs
other queues, each into an environment of its own; `--scale` adds files of five million jobs.

    plan        how much of everything
    goals       a row of measurements, the lines it gives in the table, and each line's verdict
    rows/       the rows, each kind of work in a module
    guard       which goals a gate fails by, and how loosely
    harness     one round: a fresh directory, a driver's processes, the figures they give
    processes   the processes of a round, and that they end
    backlog     files of very many jobs
    measure     medians, spread, ratios
    machine     what it ran on
    peers       other queues: how each is driven; environments: how each is installed
    comparison  litequeue and those, measured in the same way
    redis_server  a Redis for the length of one round
    report      the page of results; table: its tables
    figures     the raw figures behind the page; plots: what is drawn from them
    drivers/    one small program per queue, all with the same verbs
"""
