"""The pool: what flow-work does.

Begin with `pool`: what a thread of it does with a line. `intake` is where it takes that from,
`slot` its place in the pool, `runner` what runs the Worker in that thread, and `settlement` what
becomes of the event; `backlog` holds those that wait for their key or for a `retry`. `watchdog`
has the deadlines and signals, `work` starts and stops all of these, and `assembly` makes them
from the options: `settings`, `rate`, `halt`.

Where each thread has a process for its Worker, `isolation` is the runner: the `template` process
forks a `child` for it, with which it exchanges `packets`.

What became of each event is an `outcome`. `joblog` and `failed` (each an `appendfile`) keep it,
`once` keeps ids, and `tally` counts it for `progress` (`progress_display`); `metrics`, too, also
see a `snapshot`. What the Worker returned goes out by `results`.
"""
