"""One reader per layout of source files: bytes in, measurements or the list of every fault out."""
