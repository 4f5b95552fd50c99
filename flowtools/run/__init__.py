"""flow-run: a Worker and its own SOURCE in one process.

`run` puts them together. `ownsource` makes the source from the class that the Worker names and the
keys of [Source] (`sourcekeys`), `inprocess` connects source and pool in place of the shell's pipe
and the acknowledgement socket, and `profile` reads the INI files of the older Flow.
"""
