"""The command line, one file a command.

main ──> commands: recommend, estimate, devices, doctor, serve, jobs, token, init, completion
           │ options          flags, and the variables and file behind them
           │ completing       what a shell offers for a word that is not finished
           │ interrupts       Ctrl-C: once to stop well, twice to leave
           │ render.progress  what happens, on stderr: lines, or the panel of render.panel
           └ render.output    the answer alone, on stdout; as text from render.views
"""
