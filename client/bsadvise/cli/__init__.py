"""The command line, one file a command.

main ──> commands: recommend, estimate, devices, doctor, serve, jobs, token
           │ options          flags, and the variables and file behind them
           │ interrupts       Ctrl-C: once to stop well, twice to leave
           │ render.progress  what happens, on stderr
           └ render.output    the answer alone, on stdout; as text from render.views
"""
