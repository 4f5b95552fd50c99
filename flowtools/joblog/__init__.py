"""flow-joblog: summarize the run that a job log of flow-work records.

`summary` reads the file once and counts; `show` prints that as tables or as one JSON object.
"""
