"""The only modules that name concrete classes.

`runner` builds what a worker needs, `control` what a coordinator needs.
"""
