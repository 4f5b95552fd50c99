"""What a command does as a process of Linux.

`signals` ask it to end, and code of others in the main thread is `bounded` then. `console` takes
its messages, `message` makes them readable and safe, and `stderr` writes them. `stdout` keeps
standard output for event lines while code of others runs; what that writes is `overheard` in
Python, and by an `ear` at the descriptors. `screen` prints tables for people. `systemd` is told of
its state. `password` reads secrets, `tls` makes the context of a secure connection, `certificates`
says in time that a server's is about to end, and `memory` keeps a process small that runs for
months. `kin` says which processes end with which, and `programs` ends those that one thread has
started.

A command that runs for long knows its `vitals`; by way of `service` it says them on its
`statussocket` and serves them as `metrics`.
"""
