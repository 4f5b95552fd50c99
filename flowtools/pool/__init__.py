"""The pool: what flow-work does.

Begin with `pool`: what a thread of it does with a line. `intake` is where it takes that from,
`runner` what runs the Worker in that thread, and `settlement` what becomes of the event.
`inflight` has the event on its way, and the slot of the thread that runs it; `backlog` holds
those that wait for their key or for another attempt, and `pause` says whether nothing can be done
just now; `keys` has whose turn it is. The `watchdog` has the deadlines. `control` says whether all
of them go on. `work` is one run: it makes these and ends them. `assembly` brings what was asked for
to it, by `settings`, `limits` (--rate, --halt) and `width` (-j); `dryrun` stands in for all of
them.

A Worker that takes several events at once has another pool: `gathering` puts them together, and a
`batch` is one attempt of them.

Where each thread has a process for its Worker, `isolation` is the runner: the `template` process
forks a `child` for it, with which it exchanges `packets`; `recycling` says when another takes its
place.

What became of each event is an `outcome`. `joblog` and `failed` (each an `appendfile`) keep it,
`oversize` keeps lines that are too long, `once` keeps ids, `details` say it with -vv, and `tally`
counts it for `progress` (`progress_display`) and `metrics`. What the Worker returned goes out by
`results`.
"""
