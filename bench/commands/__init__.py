"""The commands, a module each: its docstring is the help, `arguments` says what can be typed, `run` does it, `EXAMPLES` ends the help.

The modules without `run` are shared by several: `options`, `common`, `chain`, `boards`; `parser`, `settings` and
`completers` work on every command's options alike.
"""
