"""flow-joblog: what a job log of flow-work says about its run.

`summary` reads the file once and counts; `show` prints that as tables or as one JSON object.
"""
