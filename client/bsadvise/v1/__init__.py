"""Messages and stubs generated from protos/bsadvise/v1; made by `make proto`."""
