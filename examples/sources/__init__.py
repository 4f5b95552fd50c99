"""Sources to read, run and copy: web page, paged API, growing file, web server."""
