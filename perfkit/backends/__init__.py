"""One real component a module, each with its own way to start, to connect and to count."""
