"""The pool: the work of flow-work.

Begin with `pool`, which says what a thread does with a line. `intake` reads the lines, `taking`
says which event may run next, `runner` runs the Worker in the thread, and `settlement` settles the
event. `inflight` has the event in flight and the slot of the thread that runs it. `backlog` holds
the events that wait for their key (`keys`) or for another attempt; `pause` stops new attempts while
the server behind the Worker is down. The `watchdog` enforces the deadlines, and wakes an
`eventloop` that waits beyond one. `control` tells all parts to end. `work` is one run: it makes
these parts and ends them. `assembly` makes a run from the options, with `settings`, `limits`
(--rate, --halt) and `width` (-j); `dryrun` only shows what a run would do.

A Worker that takes several events at once has another pool: `gathering` collects the events, and a
`batch` is one attempt with several of them.

With --isolation process, `isolation` is the runner: the `template` process forks a `child` for each
thread, with which it exchanges `packets`; `recycling` decides when a child is replaced. If events
are short, `series` takes several and `handover` gives them to the child at once.

Each event ends with an `outcome`. `joblog` and `failed` (each an `appendfile`) record it,
`oversize` keeps lines that are too long, `once` keeps ids, `details` logs it with -vv, and `tally`
counts it for `progress` (`progress_display`) and `metrics`. `results` writes what the Worker
returned.
"""
