"""The pool: what flow-work does.

Begin with `pool`: what a thread of it does with a line. `intake` is where it takes that from,
`slot` its place in the pool, `runner` (or `isolation`, a process) what runs the Worker, and
`settlement` what becomes of the event; `backlog` holds those that wait for their key or for a
`retry`. `watchdog` has the deadlines and signals, `work` starts and stops all of these, and
`assembly` makes them from the options: `settings`, `rate`, `halt`.

What became of each event is an `outcome`. `joblog` and `failed` (each an `appendfile`) keep it, and
`tally` counts it for `progress` (`progress_display`); `metrics`, too, also see a `snapshot`.
What the Worker returned goes out by `results`.
"""
