"""The commands, a module each: its docstring is the help, `arguments` says what can be typed, `run` does it.

The modules without `run` are shared by several: `options`, `common`, `running`.
"""
