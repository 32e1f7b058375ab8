"""Messages generated from protos/advisor/pipe/v1; made by `make proto`."""
