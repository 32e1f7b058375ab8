"""The command line, one file a command.

main ──> recommend, estimate, devices, doctor, serve, jobs
           │ options    flags, and the variables and file behind them
           │ interrupts Ctrl-C: once to stop well, twice to leave
           │ progress   what happens, on stderr
           └ output     the answer alone, on stdout; as text from views
"""
