"""flow-status: shows the commands that run on this host.

`asking` finds the status sockets of running commands and reads the state of each; `answers` asks
all of them at the same time. `pipelines` groups the commands that pipes connect. `check` compares
them with the limits of a monitoring system. `show` prints them: once, or again and again as a table
on a terminal.
"""
