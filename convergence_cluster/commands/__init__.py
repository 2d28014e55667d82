"""One module a command of the command line.

`configure(parser)` declares its arguments, `run(arguments)` returns the exit code.
"""
