"""The sound engine: stems in, one finished master out.

A library that a person can use alone. It knows no daemon, no log, no clock and no
configuration file; paths live in ``formats`` and at the edge of ``mixing`` only.
"""
