"""flow-status: what runs on this host.

`asking` finds the status sockets of running commands and reads what each says, `pipelines` puts
together the commands that a pipe joins, `check` compares them with the limits that a monitoring
system gives, and `show` prints them: once, or again and again as a table on a terminal.
"""
