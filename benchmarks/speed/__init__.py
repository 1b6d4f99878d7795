"""How fast multimep is, beside its peers and beside the machine's limit: `make bench`."""
