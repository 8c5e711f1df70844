"""One anti-pattern a module.

File, probe, recipe and scenarios have the same name.
"""
