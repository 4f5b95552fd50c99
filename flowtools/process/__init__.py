"""A command as a process of Linux: signals, messages, standard descriptors, and its state.

`signals` turns SIGTERM and SIGINT into a request to stop, and `bounded` limits the time of user
code in the main thread after it. `console` takes the messages, `message` makes them readable and
safe, and `stderr` writes them. `stdout` keeps standard output for event lines while user code runs;
what that code writes becomes messages: through Python by `overheard`, at the descriptors by `ear`.
`screen` prints tables for people. `systemd` tells the service manager the state. `password` reads
secrets, `tls` makes the context of a secure connection, and `certificates` warns before a server's
certificate expires. `memory` keeps a process small that runs for months. `kin` ends processes
together with others, and `programs` ends those that one thread has started.

A long-running command keeps its figures in `vitals`; `service` shows them on the `statussocket` and
serves them as `metrics`.
"""
