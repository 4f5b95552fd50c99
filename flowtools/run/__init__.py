"""flow-run: a Worker and its own SOURCE in one process.

`run` puts them together: `ownsource` makes the source from the class that the Worker names and
the keys of [Source] (`sourcekeys`), `inprocess` stands for the pipe and the socket between source
and pool, and `profile` reads the INI files of the older Flow.
"""
