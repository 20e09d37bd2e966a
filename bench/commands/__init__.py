"""The commands, a module each: its docstring is the help and `EXAMPLES` ends it, `arguments` says what can be typed,
`run` does it.

The modules without `run` are shared by several: `options`, `common`, `running`; `parser`, `settings` and `completers`
work on every command's options alike.
"""
