"""Sources to read, run and copy: a page, a file, a web server."""
